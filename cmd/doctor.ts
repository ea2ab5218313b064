/** `swarmgate doctor`: can the inline filter run here, what is in its way, and which command mends it. */
import type { CommandModule } from 'yargs';
import { exitIncomplete, exitOk } from './errors.js';

interface DoctorArguments {
  json: boolean;
}

export const doctorCommand: CommandModule<object, DoctorArguments> = {
  command: 'doctor',
  describe: 'look for what is in the way of the inline filter, and how to mend it',
  builder: async (yargs) => {
    const { configFlags } = await import('../lib/config/flags.js');
    return yargs
      .option('config', configFlags()['config']!)
      .option('instance', configFlags()['instance']!)
      .option('json', { type: 'boolean', default: false, describe: 'as JSON' })
      .epilogue(
        'Nothing is changed; the kernel may load its modules. Exit status 1 if swarmgate cannot run.',
      );
  },
  handler: async (argv) => {
    const { doctorText, examine } = await import('./doctor-report.js');
    const findings = await examine(argv);
    const runs = findings.every(({ level }) => level !== 'error');
    const json = (): string => `${JSON.stringify({ can_run: runs, findings }, null, 2)}\n`;
    process.stdout.write(argv.json ? json() : doctorText(findings));
    process.exitCode = runs ? exitOk : exitIncomplete;
  },
};
