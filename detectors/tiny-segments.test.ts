/**
 * Whoever sends a stream in segments of one byte must not make a detector read all that is kept with each of them: by 4 KiB
 * that would cost a hundred times what a packet may.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ascii } from '../lib/wire/text.js';
import { concat } from '../lib/testing.js';
import { No, View, type Detector } from './detector.js';
import { detectors } from './index.js';
import { listedNames, listsOf } from './listed-names.js';

const keptBytes = 2900;
const tinySegments = 16;

/** An array that counts which of its bytes are read. */
function counting(bytes: Uint8Array): { readonly proxy: Uint8Array; readonly read: () => number } {
  let count = 0;
  const proxy = new Proxy(bytes, {
    get: (target, key): unknown => {
      if (typeof key === 'string' && key.charCodeAt(0) <= 0x39) count++;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { proxy, read: () => count };
}

/** Bytes of the kept stream that `detector` reads on average with each tiny segment, after two large ones. */
function readPerSegment(detector: Detector, head: string, fill: string, tiny: string): number {
  const beginning = ascii((head + fill.repeat(keptBytes)).slice(0, keptBytes));
  let stream = beginning.subarray(0, 1448);
  let read = 0;
  for (let packet = 1; packet <= 2 + 12 + tinySegments; packet++) {
    const payload =
      packet === 1
        ? stream
        : packet === 2
          ? beginning.subarray(1448)
          : ascii(tiny[(packet - 3) % tiny.length]!);
    if (packet > 1) stream = concat(stream, payload);
    if (packet > detector.packetsMax) break;
    const { proxy, read: count } = counting(stream);
    const view = new View();
    view.bytes = payload;
    view.end = view.wireLength = payload.length;
    view.opening = proxy;
    view.openingEnd = view.openingWireLength = stream.length;
    view.fromClient = view.fromStart = true;
    view.payloadPacket = packet;
    view.sourcePort = 50_000;
    view.destinationPort = 80;
    const outcome = detector.inspect(view);
    if (outcome === No && detector.scope === 'opening') break;
    if (packet > 2 + 12) read += count();
  }
  return read / tinySegments;
}

const streams: readonly (readonly [head: string, fill: string, tiny: string])[] = [
  ['GET /?', 'a&', 'a'],
  ['GET /', 'a', 'a'],
  ['GET /?info_hash=', '%ab', '%'],
  ['GET / HTTP/1.1\r\n', 'a: b\r\n', 'a'],
  ['GET / HTTP/1.1\r\n', 'a: b\r\n', '\n'],
  ['GET / HTTP/1.1\n', 'a: b\n', 'x'],
  ['GET / HTTP/1.1\n', 'a: b\n', 'x\n'],
  ['POST / HTTP/1.1\r\n', 'a: b\r\n', 'x'],
  ['HTTP/1.1 200 OK\r\n\r\nd8:intervall', 'le', 'e'],
  ['HTTP/1.1 200 OK\r\n\r\nd4:infod5:filesl', 'i1e', 'e'],
  ['HTTP/1.1 200 OK\r\n', 'a: b\r\n', '\n'],
  ['d8:intervall', 'le', 'e'],
];

const names = listedNames(listsOf({ listed: ['listed.example'], alpn: [] }, 1));

for (const detector of [...detectors, ...names].filter(({ transport }) => transport === 'tcp')) {
  test(`${detector.name}: a stream in tiny segments is not read anew with each`, () => {
    for (const [head, fill, tiny] of streams) {
      const read = readPerSegment(detector, head, fill, tiny);
      assert.ok(read < 256, `${JSON.stringify(head + fill + tiny)}: ${read} bytes per segment`);
    }
  });
}
