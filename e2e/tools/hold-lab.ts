/** Makes a lab with a program in it and waits to be ended: for the test of what then stays behind. */
import { Lab } from '../lab.js';

const lab = await Lab.create();
lab.start('server', ['sleep', '1000']);
process.stdout.write(`holding ${lab.folder}\n`);
setInterval(() => undefined, 60_000);
