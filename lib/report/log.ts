/**
 * The program's own log: winston to standard error, one line per event, never per packet. winston is loaded with the
 * first message: most runs have nothing to say, and loading it costs as much as scanning a hundred thousand packets.
 *
 * A daemon's log has times; under systemd, which adds its own, lines begin with the priority instead ("<4>",
 * sd-daemon(3)). A message that repeats is written a few times per minute, then only counted.
 */
import { createRequire } from 'node:module';
import { Writable } from 'node:stream';
import type { Logger } from 'winston';
import { printable } from './escape.js';
import { Terminal } from './terminal.js';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export const logLevels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

/** 'plain' for commands, 'time' for a daemon on a terminal or in a file, 'journal' under systemd. */
export type LogStyle = 'plain' | 'time' | 'journal';

export interface LogOptions {
  readonly style?: LogStyle;
  /** How often the same message is written per minute; Infinity (the default) for commands that end by themselves. */
  readonly repeatsPerMinute?: number;
  /** Milliseconds, for tests. */
  readonly now?: () => number;
}

/** Longest message; a problem quotes names and tool output, and cut in half it helps nobody. */
const messageCharactersMax = 2000;
const minuteMillis = 60_000;
const daemonRepeats = 5;

const require = createRequire(import.meta.url);

/** Syslog priorities: err, warning, info, debug. */
const priorities: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

function prefix(style: LogStyle, level: LogLevel, millis: number): string {
  if (style === 'journal') return `<${priorities[level]}>`;
  return `${style === 'time' ? `${new Date(millis).toISOString()} ` : ''}swarmgate: ${level}: `;
}

/** @param terminal of a daemon: what it says must not hold it up */
function makeLogger(level: LogLevel, terminal: Terminal | null): Logger {
  const { createLogger, format, transports } = require('winston') as typeof import('winston');
  const transport =
    terminal === null
      ? new transports.Console({ stderrLevels: [...logLevels] })
      : new transports.Stream({ stream: streamTo(terminal) });
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston's own types disagree
  return createLogger({ level, format: format.printf(({ line }) => String(line)), transports: [transport] });
}

function streamTo(terminal: Terminal): Writable {
  return new Writable({
    decodeStrings: false,
    write: (text: string | Buffer, _encoding, done) => {
      terminal.write(String(text));
      done();
    },
  });
}

/** The style for a daemon: systemd says in JOURNAL_STREAM that somebody adds the times. */
export function daemonStyle(environment: Readonly<Record<string, string | undefined>>): LogStyle {
  return (environment['JOURNAL_STREAM'] ?? '') === '' ? 'time' : 'journal';
}

export class Log {
  readonly #level: LogLevel;
  readonly #style: LogStyle;
  readonly #now: () => number;
  readonly #repeats: RepeatLimit | null;
  #logger: Logger | null = null;

  constructor(level: LogLevel, options: LogOptions = {}) {
    const { style = 'plain', repeatsPerMinute = Infinity, now = Date.now } = options;
    this.#level = level;
    this.#style = style;
    this.#now = now;
    this.#repeats = repeatsPerMinute === Infinity ? null : new RepeatLimit(repeatsPerMinute);
  }

  /** The log of a daemon, by its environment. */
  static daemon(level: LogLevel): Log {
    return new Log(level, { style: daemonStyle(process.env), repeatsPerMinute: daemonRepeats });
  }

  /** @param code stable code of the event, e.g. "rules-damaged" */
  error(message: string, code: string): void {
    this.#write('error', message, code);
  }

  /** @param code stable code of the event, e.g. "capture-cut" */
  warn(message: string, code: string): void {
    this.#write('warn', message, code);
  }

  info(message: string): void {
    this.#write('info', message);
  }

  /** The answer to something that the operator did: written however often it is. */
  answer(level: LogLevel, message: string, code?: string): void {
    if (this.#isWanted(level)) this.#line(level, this.#now(), message, 0, code);
  }

  debug(message: string): void {
    this.#write('debug', message);
  }

  #isWanted(level: LogLevel): boolean {
    return logLevels.indexOf(level) <= logLevels.indexOf(this.#level);
  }

  #write(level: LogLevel, message: string, code?: string): void {
    if (!this.#isWanted(level)) return;
    const millis = this.#now();
    // By its code: messages of one event differ in their figures.
    const leftOut = this.#repeats === null ? 0 : this.#repeats.ask(`${level} ${code ?? message}`, millis);
    if (leftOut >= 0) this.#line(level, millis, message, leftOut, code);
  }

  #line(level: LogLevel, millis: number, message: string, leftOut: number, code: string | undefined): void {
    const more = leftOut > 0 ? ` (${leftOut} more like it were left out)` : '';
    const suffix = code === undefined ? '' : ` [${code}]`;
    const text = printable(message, messageCharactersMax) + more + suffix;
    this.#logger ??= makeLogger(this.#level, this.#repeats === null ? null : Terminal.open(2));
    this.#logger.log(level, '', { line: prefix(this.#style, level, millis) + text });
  }
}

interface Repeated {
  since: number;
  written: number;
  leftOut: number;
}

/** Different messages remembered. When full: the oldest is forgotten. */
const keysMax = 256;

/** How often each message was written in the minute that began with its first. */
class RepeatLimit {
  readonly #perMinute: number;
  readonly #seen = new Map<string, Repeated>();

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** @returns -1 if it is to be left out, else how many like it were left out before */
  ask(key: string, millis: number): number {
    const found = this.#seen.get(key);
    if (found !== undefined && millis - found.since < minuteMillis && millis >= found.since) {
      if (found.written < this.#perMinute) {
        found.written++;
        return 0;
      }
      found.leftOut++;
      return -1;
    }
    this.#seen.delete(key);
    this.#seen.set(key, { since: millis, written: 1, leftOut: 0 });
    this.#forgetOldest();
    return found?.leftOut ?? 0;
  }

  #forgetOldest(): void {
    if (this.#seen.size <= keysMax) return;
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest);
      return;
    }
  }
}
