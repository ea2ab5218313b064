/** The parsers of TLS, DNS and QUIC hellos on mutated input: they never throw and never read outside their range. */
import assert from 'node:assert/strict';
import { fuzz } from '../fuzzing.js';
import { fromHex } from '../testing.js';
import { DnsQuestion } from './dns-name.js';
import { nameBytesMax, NameSet } from './name-set.js';
import { isInitial, QuicStream, quicStreamBytes } from './quic-initial.js';
import { cryptoFrame, realHello, rfcConnectionId, rfcCryptoFrame, sealInitial } from './testing.js';
import { ClientHello, NoHello } from './tls-hello.js';

const records = await realHello({ name: 'tracker.listed.example', protocols: ['h2', 'http/1.1'] });
const hello = Uint8Array.from(rfcCryptoFrame.subarray(4));

/** What `read` says of the bytes between fillers. */
function twice(bytes: Uint8Array, read: (padded: Uint8Array, start: number, end: number) => string): void {
  const answers = [0x00, 0x65].map((filler) => {
    const padded = new Uint8Array(bytes.length + 64).fill(filler);
    padded.set(bytes, 32);
    return read(padded, 32, 32 + bytes.length);
  });
  assert.equal(answers[0], answers[1], 'a byte outside the range was read');
}

const tls = new ClientHello();

fuzz('TLS records', [records, Uint8Array.of(0x16, 3, 1, 0, 3, 1, 0, 1, 0x16, 3, 1, 0, 2, 0, 5)], (bytes) => {
  twice(bytes, (padded, start, end) => {
    const outcome = tls.readRecords(padded, start, end);
    if (outcome === NoHello) return '';
    assert.ok(tls.nameStart <= tls.nameEnd && tls.protocolsStart <= tls.protocolsEnd);
    assert.ok(tls.bytes !== padded || (tls.nameEnd <= end && tls.protocolsEnd <= end));
    const at = tls.nameEnd > 0 ? tls.inStream(padded, tls.nameStart) : start;
    assert.ok(at >= start && at <= end);
    return `${outcome} ${Buffer.from(tls.bytes.subarray(tls.nameStart, tls.nameEnd)).toString('hex')} ${tls.offers(Uint8Array.of(104, 50))} ${at}`;
  });
});

fuzz('TLS without records', [hello], (bytes) => {
  twice(bytes, (padded, start, end) => {
    const outcome = tls.readHandshake(padded, start, end);
    assert.ok(tls.nameEnd <= end && tls.protocolsEnd <= end);
    return `${outcome} ${tls.nameStart} ${tls.nameEnd} ${tls.protocolsStart} ${tls.protocolsEnd}`;
  });
});

const question = new DnsQuestion();
const names = new NameSet(['example.org', '*.net'], 3);

fuzz(
  'DNS',
  [fromHex('3a51 0120 0001 0000 0000 0001 03777777 076578616d706c65 036f7267 00 0001 0001')],
  (bytes) => {
    twice(bytes, (padded, start, end) => {
      const outcome = question.read(padded, start, end);
      assert.ok(question.length <= nameBytesMax);
      return `${outcome} ${question.length} ${names.has(question.text, 0, question.length)} ${names.has(padded, start, end)}`;
    });
  },
);

const stream = new QuicStream();

function readQuic(padded: Uint8Array, start: number, end: number, wireLength: number): string {
  stream.clear();
  if (!isInitial(padded, start, end, wireLength)) return 'no';
  const read = stream.add(padded, start, end, wireLength, padded, start);
  assert.ok(stream.length <= quicStreamBytes);
  return `${read} ${stream.length} ${Buffer.from(stream.bytes.subarray(0, stream.length)).toString('hex')}`;
}

fuzz('QUIC datagrams', [sealInitial({ version: 1, payload: rfcCryptoFrame })], (bytes) => {
  twice(bytes, (padded, start, end) => readQuic(padded, start, end, Math.max(bytes.length, 1200)));
});

const frames = Uint8Array.from([
  ...cryptoFrame(hello, 100, hello.length),
  ...[1, 0, 2, 5, 0, 1, 1, 0, 0],
  ...cryptoFrame(hello, 0, 100),
]);

fuzz('QUIC frames', [frames], (payload) => {
  const datagram = sealInitial({
    version: 2,
    payload: payload.subarray(0, 4000),
    destination: rfcConnectionId,
  });
  readQuic(datagram, 0, datagram.length, datagram.length);
});
