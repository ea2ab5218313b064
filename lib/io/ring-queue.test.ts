import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InvariantError } from '../invariant.js';
import { linkEthernet, linkRaw } from '../wire/link.js';
import { makeBell } from './bell.js';
import { packetTruncated } from './packet-queue.js';
import { batchOf, numbered, packetsOf, type RingPacket } from './ring-testing.js';
import { RingQueue } from './ring-queue.js';
import { makeSlabRing, RingWriter } from './slab-ring.js';

interface Rig {
  readonly queue: RingQueue;
  readonly writers: readonly RingWriter[];
  /** The same rings again, for a worker that takes over. */
  readonly again: () => RingQueue;
}

function rig(rings: number, batchPackets: number): Rig {
  const bell = makeBell();
  const memories = Array.from({ length: rings }, () => makeSlabRing({ slabBytes: 8192, packetsMax: 64 }));
  const again = (): RingQueue =>
    new RingQueue({
      rings: memories.map((memory, i) => ({ memory, interfaceIndex: 20 + i })),
      bell,
      batchPackets,
      waitMillis: 1,
    });
  return { queue: again(), writers: memories.map((memory) => new RingWriter(memory, bell)), again };
}

function put(writer: RingWriter, packets: readonly RingPacket[]): void {
  const batch = batchOf(packets);
  for (let i = 0; i < batch.count; i++) assert.ok(writer.offer(batch, i));
  writer.publish();
}

const some = (count: number, from = 0): RingPacket[] =>
  Array.from({ length: count }, (_, i) => numbered(from + i, 50));

/** Interface and count of each batch until nothing is left. */
function drain(queue: RingQueue): [number, number][] {
  const batches: [number, number][] = [];
  for (let count = queue.receive(); count > 0; count = queue.receive()) {
    batches.push([queue.batch.inInterface[0]!, count]);
    queue.settle();
  }
  return batches;
}

describe('batches', () => {
  test('the time of the work on a batch is told, by the clock that was given', () => {
    const bell = makeBell();
    const memory = makeSlabRing({ slabBytes: 8192, packetsMax: 64 });
    let nowMicros = 1000;
    const queue = new RingQueue({
      ...{ rings: [{ memory, interfaceIndex: 1 }], bell, batchPackets: 2, waitMillis: 1 },
      readWorkClock: (now) => {
        now[0] = nowMicros;
      },
    });
    put(new RingWriter(memory, bell), some(3));
    for (const micros of [12.5, 7]) {
      assert.ok(queue.receive() > 0);
      nowMicros += micros;
      queue.settle();
      assert.equal(queue.batch.workMicros[0], micros);
    }
  });

  test('a partial batch is handed over at once, and the last chunk takes the remainder', () => {
    const { queue, writers } = rig(1, 8);
    put(writers[0]!, some(3));
    assert.deepEqual(drain(queue), [[20, 3]]);
    put(writers[0]!, some(21));
    assert.deepEqual(drain(queue), [
      [20, 8],
      [20, 8],
      [20, 5],
    ]);
  });

  test('rings take turns: a busy interface does not hold up another', () => {
    const { queue, writers } = rig(3, 4);
    put(writers[0]!, some(14));
    put(writers[2]!, some(2));
    assert.equal(queue.receive(), 2);
    assert.equal(queue.batch.inInterface[1], 22);
    queue.settle();
    assert.equal(queue.receive(), 4);
    queue.settle();
    put(writers[1]!, some(1));
    put(writers[2]!, some(5));
    assert.deepEqual(drain(queue), [
      [21, 1],
      [22, 4],
      [20, 4],
      [22, 1],
      [20, 4],
      [20, 2],
    ]);
  });

  test('nothing came: 0, after a wait', () => {
    const { queue } = rig(2, 4);
    assert.equal(queue.receive(), 0);
    assert.equal(queue.batch.count, 0);
  });
});

describe('what a packet has beyond its bytes', () => {
  test('bytes, lengths, types and times are the capture loop’s; numbers are counted here', () => {
    const { queue, writers } = rig(2, 16);
    put(writers[0]!, some(4, 100));
    put(writers[1]!, some(2, 200));
    const seen: RingPacket[] = [];
    while (queue.receive() > 0) {
      seen.push(...packetsOf(queue.batch));
      queue.settle();
    }
    const expected = [...some(2, 200), ...some(4, 100)].map((packet, i) => ({ ...packet, frame: i + 1 }));
    assert.deepEqual(seen, expected);
  });

  test('position, interface, no mark, no hook, and whether it was cut', () => {
    const { queue, writers } = rig(1, 4);
    put(writers[0]!, [numbered(0, 50), numbered(1, 50)]);
    assert.equal(queue.receive(), 2);
    const { batch } = queue;
    assert.deepEqual([...batch.id.subarray(0, 2)], [0, 1]);
    assert.deepEqual([...batch.inInterface.subarray(0, 2)], [20, 20]);
    assert.deepEqual([batch.outInterface[0], batch.mark[0], batch.hook[0]], [0, 0, 0]);
    assert.deepEqual([...batch.flags.subarray(0, 2)], [0, packetTruncated]);
  });

  test('the hardware address that sent it, where the link has one', () => {
    const { queue, writers } = rig(1, 4);
    const bytes = Uint8Array.from({ length: 40 }, (_, i) => i);
    const of = (linkType: number, length: number): RingPacket => ({
      ...numbered(0, length),
      bytes: bytes.slice(0, length),
      linkType,
    });
    put(writers[0]!, [of(linkEthernet, 40), of(linkRaw, 40), of(linkEthernet, 12), of(linkEthernet, 11)]);
    queue.receive();
    const macs = [0, 8, 16, 24].map((at) => [...queue.batch.mac.subarray(at, at + 8)]);
    const sender = [6, 7, 8, 9, 10, 11, 0, 0];
    const none = [0, 0, 0, 0, 0, 0, 0, 0];
    assert.deepEqual(macs, [sender, none, sender, none]);
  });
});

describe('life', () => {
  test('settling gives the room back; a worker that takes over begins with what was not settled', () => {
    const { queue, writers, again } = rig(1, 4);
    put(writers[0]!, some(10));
    queue.receive();
    queue.settle();
    queue.receive();
    queue.close();
    const next = again();
    assert.equal(next.receive(), 4);
    assert.deepEqual(packetsOf(next.batch)[0]!.bytes, numbered(4, 50).bytes);
    next.settle();
    assert.equal(next.receive(), 2);
    next.settle();
    put(writers[0]!, some(64));
  });

  test('a descriptor that cannot be is counted as malformed, and the queue goes on', () => {
    const bell = makeBell();
    const memory = makeSlabRing({ slabBytes: 4096, packetsMax: 8 });
    const queue = new RingQueue({
      rings: [{ memory, interfaceIndex: 1 }],
      bell,
      batchPackets: 4,
      waitMillis: 0,
    });
    const writer = new RingWriter(memory, bell);
    put(writer, some(1));
    new Int32Array(memory.descriptors)[1] = 5000;
    assert.equal(queue.receive(), 0);
    assert.equal(queue.counters.malformed, 1);
    put(writer, some(1));
    assert.equal(queue.receive(), 1);
  });

  test('misuse is a defect: receiving twice, using a closed queue, no rings', () => {
    const { queue, writers } = rig(1, 4);
    put(writers[0]!, some(1));
    queue.receive();
    assert.throws(() => queue.receive(), InvariantError);
    queue.settle();
    queue.close();
    queue.close();
    assert.throws(() => queue.receive(), InvariantError);
    assert.throws(() => {
      queue.settle();
    }, InvariantError);
    assert.throws(
      () => new RingQueue({ rings: [], bell: makeBell(), batchPackets: 4, waitMillis: 0 }),
      InvariantError,
    );
  });
});
