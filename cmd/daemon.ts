/** The life of a process that runs an instance: signals, readiness, watchdog, live status, reload, exit. */
import { closeSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';
import { ConfigError, type Config } from '../lib/config/config.js';
import { differences } from '../lib/config/reload.js';
import type { Command } from '../lib/config/schema.js';
import { ControlError } from '../lib/control/protocol.js';
import { FirewallError } from '../lib/firewall/firewall.js';
import { LiveSourceError } from '../lib/io/live-source.js';
import { ignoreTerminalStops, NativeError, nativeProblem, notify } from '../lib/native/index.js';
import { Log } from '../lib/report/log.js';
import { renderStatus } from '../lib/report/status-view.js';
import { Terminal } from '../lib/report/terminal.js';
import { mayColour } from './control.js';
import { exitConfig, exitPermission, exitUnavailable, exitUsage, UserError } from './errors.js';
import { Instance, type MakeIntake } from './instance.js';
import type { Intake } from './intake.js';
import { WorkerStartError } from './supervised.js';

const drawMillis = 1000;
/** A second signal within this time is the first one again: timeout(1) and session managers signal process and group. */
const sameSignalMillis = 500;
/** What a pipe that nobody reads has not taken this long after the stop is given up. */
const lingerMillis = 2000;

export interface DaemonOptions {
  readonly command: Command;
  /** Reads the configuration. @throws ConfigError */
  readonly load: () => Config;
  readonly makeIntake: MakeIntake;
  /** Draw the status on the terminal. */
  readonly live: boolean;
}

/** A problem of the outside world as one sentence with its code and exit status; anything else is a defect. */
function translated(error: unknown): unknown {
  if (error instanceof ConfigError)
    return new UserError(error.code, error.message, error.isUsage ? exitUsage : exitConfig);
  if (
    error instanceof FirewallError ||
    error instanceof WorkerStartError ||
    error instanceof LiveSourceError ||
    error instanceof NativeError ||
    error instanceof ControlError
  ) {
    const { code, message } = error as Error & { code: string };
    return new UserError(code, message, exitOf(code));
  }
  return error;
}

function exitOf(code: string): number {
  if (code.endsWith('-permission')) return exitPermission;
  return code === 'bad-filter' ? exitConfig : exitUnavailable;
}

/** Runs until a signal ends it. @throws UserError */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  try {
    await new Daemon(options).run();
  } catch (error) {
    throw translated(error);
  }
}

/** Whether this process has a controlling terminal now; yes where that cannot be told, such as without descriptors. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch (error) {
    // tty(4): ENXIO without one, EIO where the other end is gone. ENOENT: a container without the file.
    return !['ENXIO', 'EIO', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}

/** Node ends by SIGABRT when it cannot set a terminal back that was there at its start. What is something else it leaves. */
function forgetLostTerminals(terminals: readonly number[]): void {
  for (const descriptor of terminals) {
    if (isatty(descriptor)) continue;
    closeSync(descriptor);
    // The lowest free number: the same one.
    openSync('/dev/null', 'r+');
  }
}

class Daemon {
  readonly #options: DaemonOptions;
  readonly #log: Log;
  #config: Config;
  /** Known from the first step of the start on, when the instance is not yet. */
  #intake: Intake | null = null;
  #instance: Instance | null = null;
  #stopping = false;
  #stoppingSince = 0;
  #reloadWanted = false;
  #reloading = false;
  #timers: NodeJS.Timeout[] = [];
  #finish!: () => void;
  readonly #finished = new Promise<void>((resolve) => {
    this.#finish = resolve;
  });

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#config = options.load();
    this.#log = Log.daemon(this.#config.log.level);
  }

  async run(): Promise<void> {
    const onStop = (): void => {
      this.#stop();
    };
    const hadTerminal = hasTerminal();
    const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
    const onReload = (): void => {
      // The terminal that it was started from is gone (ssh broke off): nobody can press Ctrl-C any more.
      if (!hadTerminal || hasTerminal()) void this.#reload();
      else if (!this.#stopping) this.#stop();
    };
    // Whoever read our words may go away; the rules are to be removed in order all the same.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
    process.on('SIGTERM', onStop).on('SIGINT', onStop).on('SIGHUP', onReload);
    process.on('SIGTSTP', this.#onPause);
    if (nativeProblem() === null) ignoreTerminalStops();
    try {
      this.#instance = await Instance.start(
        this.#config,
        this.#log,
        (config, log) => (this.#intake = this.#options.makeIntake(config, log)),
        () => this.#stopping,
      );
      if (this.#stopping) await this.#instance.stop();
      else {
        this.#ready();
        await this.#finished;
      }
    } catch (error) {
      if (!(error instanceof ControlError) || error.code !== 'stop-wanted') throw error;
      this.#log.info(error.message);
      return;
    } finally {
      await this.#instance?.stop();
      for (const timer of this.#timers) clearInterval(timer);
      process.off('SIGTERM', onStop).off('SIGINT', onStop).off('SIGHUP', onReload);
      process.off('SIGTSTP', this.#onPause);
      forgetLostTerminals(terminals);
    }
    const { intake } = this.#instance;
    if (intake.rulesLeft) {
      this.#log.error(intake.stoppedText(), 'rules-left');
      process.exitCode = exitUnavailable;
    } else this.#log.info(intake.stoppedText());
    setTimeout(() => process.exit(), lingerMillis).unref();
  }

  /** A filter that stands still while its queue is bound holds packets up until the queue is full. */
  readonly #onPause = (): void => {
    this.#log.answer(
      'warn',
      'a filter cannot be paused: Ctrl-C ends it, and it goes on until then',
      'pause-refused',
    );
  };

  #ready(): void {
    this.#log.info(`ready: ${this.#instance!.intake.readyText()}`);
    this.#notify('READY=1');
    const watchdogMicros = Number(process.env['WATCHDOG_USEC'] ?? 0);
    if (watchdogMicros > 0) {
      this.#timers.push(
        setInterval(() => {
          this.#notify('WATCHDOG=1');
        }, watchdogMicros / 3000),
      );
    }
    if (this.#options.live) this.#draw();
    if (this.#reloadWanted) void this.#reload();
  }

  /** A supervisor that cannot be told is no reason to stop filtering, still less to die with the rules in place. */
  #notify(text: string): void {
    try {
      notify(text);
    } catch (error) {
      this.#log.warn((error as Error).message, 'notify-failed');
    }
  }

  #draw(): void {
    const terminal = Terminal.open(1);
    const show = (): void => {
      if (this.#instance === null || this.#stopping || terminal?.busy === true) return;
      // A terminal may say that it is 0 by 0.
      const columns = process.stdout.columns || 80;
      const rows = process.stdout.rows || 24;
      const text = renderStatus(this.#instance.status(), {
        width: columns,
        height: rows - 1,
        colour: mayColour(),
      });
      const drawing = `\x1b[H\x1b[J${text}`;
      // What a pipe has not taken is not added to.
      if (terminal === null && !process.stdout.writableNeedDrain) process.stdout.write(drawing);
      else terminal?.write(drawing);
    };
    show();
    this.#timers.push(setInterval(show, drawMillis));
  }

  /** Signals that come before the start or a reload is through ask for one more reload, not for one each. */
  async #reload(): Promise<void> {
    this.#reloadWanted = true;
    if (this.#instance === null || this.#reloading) return;
    this.#reloading = true;
    while (this.#reloadWanted && !this.#stopping) {
      this.#reloadWanted = false;
      await this.#reloadOnce(this.#instance);
    }
    this.#reloading = false;
  }

  async #reloadOnce(instance: Instance): Promise<void> {
    this.#notify('RELOADING=1');
    try {
      const config = this.#options.load();
      const { refusal } = differences(this.#config, config, this.#options.command);
      if (refusal !== null) throw new UserError('config-needs-restart', refusal, exitConfig);
      if (!(await instance.reload(config))) return;
      this.#config = config;
      this.#log.answer('info', 'configuration read again and taken over');
    } catch (error) {
      const why = `the old configuration is kept: ${(error as Error).message}`;
      this.#log.answer('error', why, 'reload-refused');
      // Who rotates logs sends the same signal.
      instance.reopen();
    }
    this.#notify('READY=1');
  }

  /** The first time in order, the second time at once. */
  #stop(): void {
    const now = performance.now();
    if (this.#stopping) {
      if (now - this.#stoppingSince < sameSignalMillis) return;
      const text = this.#intake?.abortedText() ?? 'stopped at once';
      (Terminal.open(2) ?? process.stderr).write(`swarmgate: ${text}\n`);
      process.exit(1);
    }
    this.#stopping = true;
    this.#stoppingSince = now;
    this.#notify('STOPPING=1');
    if (this.#instance !== null) void this.#instance.stop().then(this.#finish);
  }
}
