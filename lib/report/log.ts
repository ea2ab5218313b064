/** The program's own log: winston to standard error, one line per event, never per packet. */
import winston from 'winston';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export const logLevels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

/** Control characters, which a file name may hold, must not reach a terminal. */
function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what is removed
  return text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '?');
}

export function makeLog(level: LogLevel): winston.Logger {
  return winston.createLogger({
    level,
    format: winston.format.printf(({ level: name, message, code }) => {
      const suffix = typeof code === 'string' ? ` [${code}]` : '';
      return `swarmgate: ${name}: ${printable(String(message))}${suffix}`;
    }),
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston's own types disagree
    transports: [new winston.transports.Console({ stderrLevels: [...logLevels] })],
  });
}
