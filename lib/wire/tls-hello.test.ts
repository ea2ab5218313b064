import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat } from '../testing.js';
import { rfcCryptoFrame, realHello } from './testing.js';
import { ClientHello, NoHello, OpenHello, WholeHello } from './tls-hello.js';
import { ascii } from './text.js';

const hello = new ClientHello();
const name = 'tracker.listed.example';

const nameOf = ({ bytes, nameStart, nameEnd }: ClientHello): string =>
  Buffer.from(bytes.subarray(nameStart, nameEnd)).toString('latin1');

/** The hello in records of these lengths; the last one has the rest. */
function inRecords(whole: Uint8Array, ...lengths: number[]): Uint8Array {
  const records: Uint8Array[] = [];
  let rest = whole.subarray(5);
  for (const length of [...lengths, rest.length - lengths.reduce((sum, n) => sum + n, 0)]) {
    records.push(Uint8Array.of(0x16, 3, 1, length >> 8, length & 0xff), rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return concat(...records);
}

test('the hello of this OpenSSL, with and without what is asked for', async () => {
  const whole = await realHello({ name, protocols: ['h2', 'webtorrent'] });
  assert.equal(hello.readRecords(whole, 0, whole.length), WholeHello);
  assert.equal(nameOf(hello), name);
  assert.deepEqual(
    ['h2', 'webtorrent', 'webtorren', 'h', 'torrent'].map((id) => hello.offers(ascii(id))),
    [true, true, false, false, false],
  );
  const bare = await realHello({});
  assert.equal(hello.readRecords(bare, 0, bare.length), WholeHello);
  assert.equal(nameOf(hello), '');
  assert.equal(hello.offers(ascii('h2')), false);
});

test('RFC 9001 appendix A.2: a hello without records', () => {
  const bytes = Uint8Array.from(rfcCryptoFrame.subarray(4));
  assert.equal(hello.readHandshake(bytes, 0, bytes.length), WholeHello);
  assert.equal(nameOf(hello), 'example.com');
  assert.ok(hello.offers(ascii('alpn')));
});

test('every cut waits, and tells the name as soon as it is there', async () => {
  const whole = await realHello({ name });
  const at = Buffer.from(whole).indexOf(name) + name.length;
  for (let end = 0; end < whole.length; end++) {
    // What lies behind the range is not read.
    const bytes = whole.slice().fill(0xff, end);
    assert.equal(hello.readRecords(bytes, 0, end), end === 0 ? NoHello : OpenHello, String(end));
    assert.equal(nameOf(hello), end >= at ? name : '', String(end));
  }
});

test('records may cut the hello anywhere, and the name is found where it lies', async () => {
  const whole = await realHello({ name });
  for (let at = 1; at < whole.length - 5; at++) {
    const stream = inRecords(whole, at);
    assert.equal(hello.readRecords(stream, 0, stream.length), WholeHello, String(at));
    assert.equal(nameOf(hello), name);
    const text = Array.from({ length: name.length }, (_, i) =>
      String.fromCharCode(stream[hello.inStream(stream, hello.nameStart + i)]!),
    ).join('');
    assert.equal(text, name, String(at));
    for (const end of [stream.length - 1, at + 5, at + 7, at + 10])
      assert.equal(hello.readRecords(stream, 0, Math.min(end, stream.length - 1)), OpenHello);
  }
});

test('records of one byte each', async () => {
  const whole = await realHello({ name });
  const stream = inRecords(whole, ...new Array<number>(whole.length - 6).fill(1));
  assert.equal(hello.readRecords(stream, 0, stream.length), WholeHello);
  assert.equal(nameOf(hello), name);
});

test('what is no hello', async () => {
  const whole = await realHello({ name, protocols: ['h2'] });
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = whole.slice();
    bytes[at] = value;
    return bytes;
  };
  const sni = Buffer.from(whole).indexOf(name);
  const cases: Record<string, Uint8Array> = {
    'application data': changed(0, 0x17),
    'another version of the record': changed(1, 2),
    'an empty record': changed(3, 0).fill(0, 3, 5),
    'a ServerHello': changed(5, 2),
    'a version of its own': changed(9, 2),
    'a session id of 33 bytes': changed(43, 33),
    'a name of another type': changed(sni - 3, 1),
    'a name longer than its list': changed(sni - 1, name.length + 1),
    'a list longer than its extension': changed(sni - 4, name.length + 4),
    'an extension longer than the hello': changed(sni - 7, 0xff),
    'a hello longer than any': changed(6, 1),
    'a second record of another type': inRecords(whole, 50).fill(0x17, 55, 56),
  };
  for (const [what, bytes] of Object.entries(cases))
    assert.equal(hello.readRecords(bytes, 0, bytes.length), NoHello, what);
});

test('a second name or list of protocols is not believed', async () => {
  const whole = await realHello({ name });
  const sni = Buffer.from(whole).indexOf(name) - 9;
  const extension = whole.slice(sni, sni + 9 + name.length);
  const bytes = concat(whole.subarray(0, sni), extension, whole.subarray(sni));
  const grow = (at: number, width: number): void => {
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + bytes[at + i]!;
    value += extension.length;
    for (let i = width - 1; i >= 0; i--, value >>>= 8) bytes[at + i] = value & 0xff;
  };
  grow(3, 2);
  grow(6, 3);
  // The extensions' length stands behind session id, suites and compression.
  const session = 43 + 1 + bytes[43]!;
  const suites = session + 2 + ((bytes[session]! << 8) | bytes[session + 1]!);
  grow(suites + 1 + bytes[suites]!, 2);
  assert.equal(hello.readRecords(bytes, 0, bytes.length), NoHello);
});
