/**
 * One TCP connection, for tests that must choose its ports and bytes. Prints how it went as JSON.
 * usage: talk.js LOCAL_PORT ADDRESS PORT HEX SECONDS
 */
import { createConnection } from 'node:net';

/** What the tests read. */
export interface TalkResult {
  readonly connected: boolean;
  /** Bytes that the other side sent. */
  readonly received: number;
  /** 'end', 'timeout', or the error's code, such as ECONNRESET. */
  readonly outcome: string;
  readonly millis: number;
}

const [localPort = '0', address = '', port = '0', hex = '', seconds = '5'] = process.argv.slice(2);
const started = performance.now();
let connected = false;
let received = 0;

function finish(outcome: string): void {
  const result: TalkResult = {
    connected,
    received,
    outcome,
    millis: Math.round(performance.now() - started),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => {
    // With a reset, so that the port is free again at once.
    connection.resetAndDestroy();
    setTimeout(() => process.exit(0), 50);
  });
}

const connection = createConnection({ localPort: Number(localPort), host: address, port: Number(port) });
connection.on('connect', () => {
  connected = true;
  connection.write(Buffer.from(hex, 'hex'));
});
connection.on('data', (bytes) => {
  received += bytes.length;
});
connection.once('end', () => {
  finish('end');
});
connection.once('error', (error: NodeJS.ErrnoException) => {
  finish(error.code ?? error.message);
});
setTimeout(
  () => {
    finish('timeout');
  },
  Number(seconds) * 1000,
);
