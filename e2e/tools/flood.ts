/**
 * UDP packets that look like nothing, from many ports, at a bounded rate.
 * usage: flood.js ADDRESS PORT PACKETS_PER_SECOND SECONDS
 */
import { randomFillSync } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';

const [address = '', port = '0', rate = '1000', seconds = '1'] = process.argv.slice(2);
const sockets = Array.from({ length: 500 }, () => createSocket('udp4').on('error', () => undefined));
const tickMillis = 10;
const perTick = Math.max(1, Math.round((Number(rate) * tickMillis) / 1000));
const end = performance.now() + Number(seconds) * 1000;
let sent = 0;
for (let tick = 0; performance.now() < end; tick++) {
  for (let count = 0; count < perTick; count++) {
    const payload = randomFillSync(Buffer.allocUnsafe(100));
    sockets[sent++ % sockets.length]!.send(payload, Number(port), address);
  }
  await sleep(tickMillis);
}
process.stdout.write(`sent ${sent}\n`);
await sleep(200);
process.exit(0);
