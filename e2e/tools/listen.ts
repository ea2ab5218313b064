/**
 * A server for odd connections: answers whatever comes with an HTTP response and forgets a silent connection after a
 * second, without a word that would need to pass a filter. Takes UDP on the same port and counts it.
 * usage: listen.js PORT
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const idleMillis = 1000;
const port = Number(process.argv[2] ?? '0');
const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n';

createServer((connection) => {
  connection.on('error', () => undefined);
  connection.setTimeout(idleMillis, () => connection.resetAndDestroy());
  connection.once('data', () => {
    connection.end(answer);
  });
}).listen(port);

let datagrams = 0;
createSocket('udp4')
  .on('message', () => {
    datagrams++;
  })
  .bind(port);
process.on('SIGUSR2', () => {
  process.stdout.write(`datagrams ${datagrams}\n`);
});
process.stdout.write('ready\n');
