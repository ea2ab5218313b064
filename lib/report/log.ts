/**
 * The program's own log: winston to standard error, one line per event, never per packet. winston is loaded with the
 * first message: most runs have nothing to say, and loading it costs as much as scanning a hundred thousand packets.
 */
import { createRequire } from 'node:module';
import type { Logger } from 'winston';
import { printable } from './escape.js';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export const logLevels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

const require = createRequire(import.meta.url);

function makeLogger(level: LogLevel): Logger {
  const { createLogger, format, transports } = require('winston') as typeof import('winston');
  return createLogger({
    level,
    format: format.printf(({ level: name, message, code }) => {
      const suffix = typeof code === 'string' ? ` [${code}]` : '';
      return `swarmgate: ${name}: ${printable(String(message))}${suffix}`;
    }),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston's own types disagree
    transports: [new transports.Console({ stderrLevels: [...logLevels] })],
  });
}

export class Log {
  readonly #level: LogLevel;
  #logger: Logger | null = null;

  constructor(level: LogLevel) {
    this.#level = level;
  }

  /** @param code stable code of the event, e.g. "capture-cut" */
  warn(message: string, code: string): void {
    this.#write('warn', message, code);
  }

  info(message: string): void {
    this.#write('info', message);
  }

  #write(level: LogLevel, message: string, code?: string): void {
    if (logLevels.indexOf(level) > logLevels.indexOf(this.#level)) return;
    this.#logger ??= makeLogger(this.#level);
    this.#logger.log(level, message, code === undefined ? {} : { code });
  }
}
