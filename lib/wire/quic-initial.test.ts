import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import { concat, fromHex, SeededRandom } from '../testing.js';
import { isInitial, QuicStream, quicStreamBytes } from './quic-initial.js';
import { cryptoFrame, rfcConnectionId, rfcCryptoFrame, sealInitial } from './testing.js';

const stream = new QuicStream();
const hello = Uint8Array.from(rfcCryptoFrame.subarray(4));

function add(datagram: Uint8Array, keyed = datagram): boolean {
  return stream.add(datagram, 0, datagram.length, datagram.length, keyed, 0);
}

const kept = (): Uint8Array => stream.bytes.slice(0, stream.length);

/** The beginnings of the protected packets as the RFCs print them, and the end of the first. */
const printed = {
  1: `c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11
      d242b123dc9bd8bab936b47d92ec356c0bab7df5976d27cd449f63300099f399`,
  2: `d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485
      dd04de806071bf03dceebfa162e75d6c96058bdbfb127cdfcbf903388e99ad04`,
} as const;

for (const version of [1, 2] as const) {
  test(`the test vector of QUIC version ${version} (RFC ${version === 1 ? 9001 : 9369} appendix A.2)`, () => {
    const datagram = sealInitial({ version, payload: rfcCryptoFrame });
    assert.equal(datagram.length, 1200);
    assert.deepEqual(datagram.slice(0, 64), fromHex(printed[version]));
    if (version === 1) assert.deepEqual(datagram.slice(-16), fromHex('e221af44860018ab0856972e194cd934'));
    assert.ok(isInitial(datagram, 0, 1200, 1200));
    stream.clear();
    assert.ok(add(datagram));
    assert.deepEqual(kept(), hello);
  });
}

test('every length of packet number, connection ids and token', () => {
  const random = new SeededRandom(9001);
  for (const version of [1, 2] as const) {
    for (let numberBytes = 1; numberBytes <= 4; numberBytes++) {
      for (let id = 8; id <= 20; id += 3) {
        const datagram = sealInitial({
          version,
          payload: rfcCryptoFrame,
          number: random.below(1 << (8 * numberBytes - 2)),
          numberBytes,
          destination: random.bytes(id),
          source: random.bytes(20 - id),
          token: random.bytes(random.below(200)),
        });
        stream.clear();
        assert.ok(isInitial(datagram, 0, datagram.length, datagram.length));
        assert.ok(add(datagram));
        assert.deepEqual(kept(), hello);
      }
    }
  }
});

test('property: frames in any order and pieces, over two datagrams, with what may stand between them', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: hello.length - 1 }), { maxLength: 12 });
  const between = fc.constantFrom(
    [0],
    [0, 0, 0],
    [1],
    [1, 0],
    [2, 5, 0, 0, 5],
    [3, 5, 0, 1, 1, 0, 2, 1, 1, 0],
  );
  fc.assert(
    fc.property(
      cuts,
      fc.array(between, { minLength: 13, maxLength: 13 }),
      fc.array(fc.nat(), { minLength: 13, maxLength: 13 }),
      (at, fillers, order) => {
        const places = [0, ...new Set(at), hello.length].sort((a, b) => a - b);
        const pieces = places.slice(1).map((to, i) => ({
          frame: concat(cryptoFrame(hello, places[i]!, to), Uint8Array.from(fillers[i]!)),
          order: order[i]!,
        }));
        pieces.sort((a, b) => a.order - b.order);
        const half = pieces.length >> 1;
        const payloads = [pieces.slice(0, half), pieces.slice(half)].map((list) =>
          concat(...list.map(({ frame }) => frame)),
        );
        stream.clear();
        for (const [number, payload] of payloads.entries())
          assert.ok(add(sealInitial({ version: 1, number, payload })));
        assert.deepEqual(kept(), hello);
      },
    ),
  );
});

test('two packets in one datagram', () => {
  const first = sealInitial({ version: 1, payload: cryptoFrame(hello, 0, 100), padTo: 0 });
  const second = sealInitial({ version: 1, payload: cryptoFrame(hello, 100, hello.length), number: 3 });
  stream.clear();
  assert.ok(add(concat(first, second)));
  assert.deepEqual(kept(), hello);
});

test('a gap ends the stream, and what lies beyond its room is left away', () => {
  const long = new SeededRandom(1).bytes(quicStreamBytes + 300);
  stream.clear();
  assert.ok(add(sealInitial({ version: 1, payload: cryptoFrame(long, 10, 900) })));
  assert.equal(stream.length, 0);
  assert.ok(add(sealInitial({ version: 1, payload: cryptoFrame(long, 0, 10) })));
  assert.equal(stream.length, 900);
  for (let at = 900; at < long.length; at += 900)
    add(sealInitial({ version: 1, payload: cryptoFrame(long, at, Math.min(at + 900, long.length)) }));
  assert.deepEqual(kept(), long.slice(0, quicStreamBytes));
  stream.clear();
  assert.ok(add(sealInitial({ version: 1, payload: rfcCryptoFrame })));
  assert.deepEqual(kept(), hello, 'nothing of the one before is left');
});

test('a datagram of which only the first bytes were copied is read as far as they go', () => {
  const datagram = sealInitial({ version: 1, payload: rfcCryptoFrame });
  for (let end = 0; end <= datagram.length; end++) {
    const bytes = datagram.slice().fill(0xff, end);
    stream.clear();
    if (!isInitial(bytes, 0, end, 1200)) {
      assert.ok(end < 64);
      continue;
    }
    assert.ok(stream.add(bytes, 0, end, 1200, bytes, 0));
    assert.deepEqual(kept(), hello.slice(0, Math.max(0, Math.min(end - 26, hello.length))));
  }
});

test('the keys of another connection id open nothing', () => {
  const random = new SeededRandom(4);
  let opened = 0;
  for (let round = 0; round < 2000; round++) {
    const datagram = sealInitial({ version: 1, keyed: random.bytes(8), payload: rfcCryptoFrame });
    stream.clear();
    if (add(datagram)) opened++;
    assert.ok(stream.length === 0 || stream.bytes[0] !== 1, 'no hello');
  }
  // A reserved field of two bits and the first frame are what speaks against it.
  assert.ok(opened < 100, String(opened));
});

test('what is no Initial of a client', () => {
  const whole = sealInitial({ version: 1, payload: rfcCryptoFrame });
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = whole.slice();
    bytes[at] = value;
    return bytes;
  };
  const isOne = (bytes: Uint8Array): boolean => isInitial(bytes, 0, bytes.length, bytes.length);
  assert.ok(isOne(whole));
  assert.ok(!isOne(whole.slice(0, 1199)), 'too short');
  assert.ok(!isOne(changed(0, 0x40)), 'a short header');
  assert.ok(!isOne(changed(0, 0xf0)), 'a Retry');
  assert.ok(!isOne(changed(1, 0xff)), 'a draft version');
  assert.ok(!isOne(changed(5, 21)), 'a connection id of 21 bytes');
  const refused = (bytes: Uint8Array): boolean => {
    stream.clear();
    return !add(bytes);
  };
  assert.ok(refused(changed(5, 7)), 'a connection id that is too short to make keys from');
  assert.ok(refused(changed(14, 21)), 'a source connection id of 21 bytes');
  assert.ok(refused(changed(15, 0xff)), 'a token beyond the datagram');
  assert.ok(refused(changed(16, 0x7f)), 'a packet beyond the datagram');
  const stranger = Uint8Array.of(0x08, ...new Uint8Array(40));
  assert.ok(refused(sealInitial({ version: 1, payload: stranger })), 'a STREAM frame');
});

test('the time that one Initial takes', (t) => {
  const datagram = sealInitial({ version: 1, payload: rfcCryptoFrame, destination: rfcConnectionId });
  const rounds = 20_000;
  let micros = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 3; run++) {
    const started = performance.now();
    for (let i = 0; i < rounds / 4; i++) {
      stream.clear();
      add(datagram);
    }
    micros = Math.min(micros, ((performance.now() - started) * 4000) / rounds);
  }
  t.diagnostic(`${micros.toFixed(1)} microseconds per Initial of 1200 bytes`);
});
