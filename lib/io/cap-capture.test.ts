import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CapCapture, type CapHost } from './cap-capture.js';
import { RecordReader } from './cap-records.js';

const station = [2, 0, 0, 0, 0, 2];
const plan = { interface: 'near', filter: '', snapBytes: 128, onlyAddress: station, bufferBytes: 1 };

class Host implements CapHost {
  time = 1_790_000_000_000_000;
  looks = 0;
  readonly sent: { frame: Uint8Array; wireLength: number; timeMicros: number }[] = [];
  readonly #reader = new RecordReader(16, 1);

  now(): number {
    return this.time;
  }

  look(): void {
    this.looks++;
  }

  send(bytes: Uint8Array): void {
    const { batch } = this.#reader;
    this.#reader.read(bytes, () => {
      for (let i = 0; i < batch.count; i++) {
        const frame = batch.bytes.slice(batch.start[i], batch.end[i]);
        this.sent.push({ frame, wireLength: batch.wireLength[i]!, timeMicros: batch.timeMicros[i]! });
      }
      return true;
    });
  }
}

/** A packet as `cap` hands it over: at the beginning of its buffer. */
function arrive(capture: CapCapture, to: readonly number[], bytes: number): void {
  capture.buffer.fill(7, 0, bytes);
  capture.buffer.set([...to, 2, 0, 0, 0, 0, 1]);
  capture.onPacket(bytes);
}

test('packets leave at the end of the turn, cut to the snap length, those of other stations left out', async () => {
  const host = new Host();
  const capture = new CapCapture(plan, host);
  arrive(capture, station, 300);
  arrive(capture, [2, 0, 0, 0, 0, 9], 60);
  arrive(capture, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 60);
  assert.equal(host.sent.length, 0);
  await nextTurn();
  await nextTurn();
  assert.deepEqual(
    host.sent.map(({ frame, wireLength, timeMicros }) => [frame.length, wireLength, timeMicros - host.time]),
    [
      [128, 300, 0],
      [60, 60, 0],
    ],
  );
});

test('a turn that does not end, since packets for others keep coming, holds no packet back', () => {
  const host = new Host();
  const capture = new CapCapture(plan, host);
  arrive(capture, station, 100);
  for (let i = 0; i < 10_000; i++) {
    host.time += 10;
    arrive(capture, [2, 0, 0, 0, 0, 9], 60);
  }
  assert.equal(host.sent.length, 1);
  arrive(capture, station, 100);
  host.time += 100_000;
  for (let i = 0; i < 1000; i++) arrive(capture, [2, 0, 0, 0, 0, 9], 60);
  assert.equal(host.sent.length, 2);
});

test('a turn that does not end lets the process look whether anybody still wants its packets', () => {
  const host = new Host();
  const capture = new CapCapture(plan, host);
  for (let i = 0; i < 10_000; i++) arrive(capture, [2, 0, 0, 0, 0, 9], 60);
  assert.ok(host.looks > 0 && host.looks < 1000);
});
