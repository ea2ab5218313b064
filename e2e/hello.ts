/** Two small programs for hosts, and what the one says to the other: it is answered, or it is not. */
const port = 7000;

/** A peer's handshake in hexadecimal: reserved, name of the protocol, info-hash and peer id (BEP 3). */
export const handshake = `13${Buffer.from('BitTorrent protocol').toString('hex')}${'00'.repeat(8)}${'5a'.repeat(20)}${Buffer.from('-TR4000-abcdefghijkl').toString('hex')}`;
/** A web request, likewise. */
export const request = Buffer.from('GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n').toString('hex');

/** For `node -e`: sends back whatever comes. Says 'listening'. */
export const serverScript = `require('node:net').createServer((s) => { s.on('error', () => {}); s.pipe(s); })
  .listen(${port}, '0.0.0.0', () => console.log('listening'));`;
/** For `node -e`, with an address and bytes: prints 'answered', 'closed', 'silence' or the error's code. */
export const clientScript = `const [address, hex] = process.argv.slice(1);
  const s = require('node:net').connect(${port}, address, () => s.write(Buffer.from(hex, 'hex')));
  const end = (word) => { console.log(word); process.exit(); };
  s.on('data', () => end('answered')).on('error', (e) => end(e.code)).on('close', () => end('closed'));
  setTimeout(() => end('silence'), 8000);`;
