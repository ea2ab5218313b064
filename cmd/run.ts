/** `swarmgate run`: the inline filter. This file owns the life of the process: arguments, signals, readiness, exit. */
import type { Argv, ArgumentsCamelCase, CommandModule } from 'yargs';
import { ConfigError, type Config } from '../lib/config/config.js';
import { configFlags, environmentHelp, fileFrom, flagsFrom } from '../lib/config/flags.js';
import { loadConfig, workerCount } from '../lib/config/load.js';
import { differences } from '../lib/config/reload.js';
import { ControlError } from '../lib/control/protocol.js';
import { FirewallError } from '../lib/firewall/firewall.js';
import { NativeError, notify } from '../lib/native/index.js';
import { Log } from '../lib/report/log.js';
import { renderStatus } from '../lib/report/status-view.js';
import { exitConfig, exitPermission, exitUnavailable, UserError } from './errors.js';
import { Filter } from './filter.js';
import { WorkerStartError } from './worker-pool.js';

const drawMillis = 1000;

interface RunArguments {
  config?: string;
  live: boolean;
}

function build(yargs: Argv): Argv<RunArguments> {
  return yargs
    .options(configFlags)
    .option('live', {
      type: 'boolean',
      default: process.stdout.isTTY,
      describe: 'draw the live status on the terminal',
    })
    .example('$0 run', 'watch forwarded traffic, block nothing, say what would be blocked')
    .example('$0 run --mode enforce', 'block BitTorrent')
    .example('$0 run --local --interface eth0', "also this machine's own traffic, on eth0 only")
    .epilogue(
      `Needs root, or CAP_NET_ADMIN. Ctrl-C or SIGTERM stops in order; SIGHUP reads the configuration again.\n${environmentHelp}`,
    );
}

/** A problem of the outside world as one sentence with its code and exit status; anything else is a defect. */
function translated(error: unknown): unknown {
  if (error instanceof ConfigError) return new UserError(error.code, error.message, exitConfig);
  if (
    error instanceof FirewallError ||
    error instanceof WorkerStartError ||
    error instanceof NativeError ||
    error instanceof ControlError
  ) {
    const { code, message } = error as Error & { code: string };
    return new UserError(code, message, code.endsWith('-permission') ? exitPermission : exitUnavailable);
  }
  return error;
}

class Run {
  readonly #log: Log;
  readonly #load: () => Config;
  #config: Config;
  #filter: Filter | null = null;
  #stopping = false;
  #timers: NodeJS.Timeout[] = [];
  #finish!: () => void;
  readonly #finished = new Promise<void>((resolve) => {
    this.#finish = resolve;
  });

  constructor(load: () => Config) {
    this.#load = load;
    this.#config = load();
    this.#log = Log.daemon(this.#config.log.level);
  }

  async run(live: boolean): Promise<void> {
    const onStop = (): void => {
      this.#stop();
    };
    const onReload = (): void => {
      void this.#reload();
    };
    process.on('SIGTERM', onStop).on('SIGINT', onStop).on('SIGHUP', onReload);
    try {
      this.#filter = await Filter.start(this.#config, this.#log);
      if (this.#stopping) await this.#filter.stop();
      else {
        this.#ready(live);
        await this.#finished;
      }
    } finally {
      for (const timer of this.#timers) clearInterval(timer);
      process.off('SIGTERM', onStop).off('SIGINT', onStop).off('SIGHUP', onReload);
    }
    this.#log.info('stopped, the rules are removed');
  }

  #ready(live: boolean): void {
    const { mode } = this.#config;
    const what = mode === 'enforce' ? 'BitTorrent is blocked' : 'nothing is blocked, only reported';
    this.#log.info(`ready: mode ${mode}, ${what}; ${workerCount(this.#config)} workers`);
    notify('READY=1');
    const watchdogMicros = Number(process.env['WATCHDOG_USEC'] ?? 0);
    if (watchdogMicros > 0) {
      this.#timers.push(
        setInterval(() => {
          notify('WATCHDOG=1');
        }, watchdogMicros / 3000),
      );
    }
    if (live) this.#draw();
  }

  #draw(): void {
    const show = (): void => {
      if (this.#filter === null || this.#stopping) return;
      // A terminal may say that it is 0 by 0.
      const columns = process.stdout.columns || 80;
      const rows = process.stdout.rows || 24;
      const text = renderStatus(this.#filter.status(), {
        width: columns,
        height: rows - 1,
        colour: process.env['NO_COLOR'] === undefined,
      });
      process.stdout.write(`\x1b[H\x1b[J${text}`);
    };
    show();
    this.#timers.push(setInterval(show, drawMillis));
  }

  async #reload(): Promise<void> {
    if (this.#filter === null || this.#stopping) return;
    notify('RELOADING=1');
    try {
      const config = this.#load();
      const { refusal } = differences(this.#config, config);
      if (refusal !== null) throw new UserError('config-needs-restart', refusal, exitConfig);
      await this.#filter.reload(config);
      this.#config = config;
      this.#log.info('configuration read again and taken over');
    } catch (error) {
      this.#log.error(`the old configuration is kept: ${(error as Error).message}`, 'reload-refused');
    }
    notify('READY=1');
  }

  /** The first time in order, the second time at once. */
  #stop(): void {
    if (this.#stopping) {
      process.stderr.write('swarmgate: stopped at once; "swarmgate firewall remove" removes what is left\n');
      process.exit(1);
    }
    this.#stopping = true;
    notify('STOPPING=1');
    if (this.#filter !== null) void this.#filter.stop().finally(this.#finish);
  }
}

async function run(options: ArgumentsCamelCase<RunArguments>): Promise<void> {
  const load = (): Config =>
    loadConfig({ file: fileFrom(options), env: process.env, flags: flagsFrom(options) });
  try {
    await new Run(load).run(options.live);
  } catch (error) {
    throw translated(error);
  }
}

export const runCommand: CommandModule<object, RunArguments> = {
  command: 'run',
  describe: 'filter the traffic of this router (needs root)',
  builder: build,
  handler: run,
};
