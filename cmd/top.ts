/** `swarmgate top`: the status each second in place, until q. The terminal is given back as it was, whatever happens. */
import { writeSync } from 'node:fs';
import type { Argv, CommandModule } from 'yargs';
import { drawing, enterScreen, leaveScreen, TopPage } from '../lib/report/top-page.js';
import type { StatusReport } from '../lib/report/status.js';
import { askInstance, controlOptions, mayColour, type ControlArguments } from './control.js';
import { UserError } from './errors.js';
import { refuseRepeated } from './inputs.js';

const pollMillis = 1000;
const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
/** q, Q, Ctrl-C and Ctrl-D; the terminal gives keys and not signals while it is raw. */
const quitKeys = /[qQ\x03\x04]/; // eslint-disable-line no-control-regex -- these are the bytes of the keys

class Top {
  readonly #options: ControlArguments;
  readonly #page = new TopPage();
  #timer: NodeJS.Timeout | null = null;
  #left = false;
  #end: (status: number) => void = () => undefined;

  constructor(options: ControlArguments) {
    this.#options = options;
  }

  /** Ends when the user wants it to; gives the exit status. */
  async run(): Promise<number> {
    const ended = new Promise<number>((resolve) => {
      this.#end = resolve;
    });
    process.once('exit', this.#leave);
    for (const [name, status] of Object.entries(signals)) {
      process.once(name, () => {
        this.#end(status);
      });
    }
    process.stdout.on('resize', this.#refresh);
    process.stdout.once('error', () => {
      this.#end(0);
    });
    this.#listenToKeys();
    process.stdout.write(enterScreen);
    void this.#poll();
    const status = await ended;
    this.#leave();
    return status;
  }

  #listenToKeys(): void {
    const { stdin } = process;
    if (!stdin.isTTY) return;
    stdin.setRawMode(true);
    stdin.on('data', (keys: Buffer) => {
      if (quitKeys.test(keys.toString('latin1'))) this.#end(0);
    });
    stdin.on('error', () => undefined);
  }

  /** Also runs at the end of a process that fails, when only synchronous writing works. */
  readonly #leave = (): void => {
    if (this.#left) return;
    this.#left = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    process.stdout.off('resize', this.#refresh);
    process.stdin.pause();
    try {
      if (process.stdin.isTTY) process.stdin.setRawMode(false);
      writeSync(1, leaveScreen);
    } catch {
      // The terminal is gone; there is nothing to give back.
    }
  };

  readonly #refresh = (): void => {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    void this.#poll();
  };

  async #poll(): Promise<void> {
    const page = await this.#pageNow();
    if (this.#left) return;
    process.stdout.write(drawing(page, process.stdout.rows));
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#poll();
    }, pollMillis);
  }

  async #pageNow(): Promise<string> {
    const view = () => ({
      width: process.stdout.columns,
      height: process.stdout.rows,
      colour: mayColour(),
    });
    try {
      const status = (await askInstance(this.#options, 'status')) as StatusReport;
      return this.#page.status(status, performance.now(), view());
    } catch (error) {
      const why =
        error instanceof UserError ? error.message : `the answer is not understood (${String(error)})`;
      return this.#page.waiting(`${why} (q quits)`, view());
    }
  }
}

async function run(options: ControlArguments): Promise<void> {
  if (!process.stdout.isTTY) {
    throw new UserError('not-a-terminal', 'top draws on a terminal; elsewhere use swarmgate status (--json)');
  }
  process.exitCode = await new Top(options).run();
}

function build(yargs: Argv): Argv<ControlArguments> {
  return yargs.options(controlOptions).check((options) => {
    refuseRepeated(options, ['instance', 'socket']);
    return true;
  });
}

export const topCommand: CommandModule<object, ControlArguments> = {
  command: 'top',
  describe: 'the same as status, each second; q quits',
  builder: build,
  handler: run,
};
