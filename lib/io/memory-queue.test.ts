import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantError } from '../invariant.js';
import { linkRaw } from '../wire/link.js';
import { MemoryQueue } from './memory-queue.js';
import {
  handOverAsked,
  handOverDone,
  macStride,
  nfAccept,
  nfDrop,
  nfRepeat,
  packetGso,
  packetTruncated,
} from './packet-queue.js';

const bytes = Uint8Array.from([0x45, 1, 2, 3, 4, 5, 6, 7]);

test('hands over what it was fed and keeps the verdicts in order', () => {
  const queue = new MemoryQueue({ batchPackets: 2, copyBytes: 6, firstId: 0xffffffff });
  const mac = Uint8Array.from([2, 0, 0, 0, 0, 9]);
  queue.feed({ bytes, mark: 0xf0000000, inInterface: 3, outInterface: 4, mac, hook: 1, flags: packetGso });
  queue.feed({ bytes: bytes.slice(0, 4), timeMicros: 5 }, { bytes });
  const { batch } = queue;
  assert.equal(queue.receive(), 2);
  assert.deepEqual([...batch.bytes.subarray(batch.start[0], batch.end[0])], [...bytes.subarray(0, 6)]);
  assert.deepEqual([...batch.wireLength], [8, 4]);
  assert.deepEqual([...batch.flags], [packetGso | packetTruncated, 0]);
  assert.deepEqual([...batch.id], [0xffffffff, 0]);
  assert.deepEqual([...batch.frame], [1, 2]);
  assert.deepEqual([...batch.hook], [1, 2]);
  assert.deepEqual([...batch.mark], [0xf0000000, 0]);
  assert.deepEqual([batch.inInterface[0], batch.outInterface[0]], [3, 4]);
  assert.deepEqual([...batch.mac.subarray(0, 2 * macStride)], [...mac, 0, 0, ...new Uint8Array(8)]);
  assert.deepEqual([...batch.linkType], [linkRaw, linkRaw]);
  assert.deepEqual([...batch.timeMicros], [5, 5]);
  batch.verdict.set([nfDrop, nfAccept]);
  batch.verdictMark.set([0, 7]);
  queue.settle();
  assert.equal(queue.waiting, 1);
  assert.deepEqual(
    queue.settled.map(({ id, verdict, mark }) => [id, verdict, mark]),
    [
      [0xffffffff, nfDrop, 0],
      [0, nfAccept, 7],
    ],
  );
  assert.equal(queue.receive(), 1);
  assert.equal(batch.mark[0], 0, 'nothing is left of the packet before');
});

test('what is to be handed over is settled last, and handed over where nothing waits', () => {
  const queue = new MemoryQueue({ batchPackets: 3 });
  queue.feed(...[1, 2, 3, 4].map((mark) => ({ bytes, mark })));
  const { batch } = queue;
  const settle = (...asked: number[]): unknown[] => {
    const before = queue.settled.length;
    const count = queue.receive();
    assert.deepEqual(
      [...batch.handOver.subarray(0, count)],
      Array(count).fill(0),
      'nothing is left of before',
    );
    batch.verdict.fill(nfAccept);
    batch.verdictMark.set(batch.mark);
    for (const i of asked) batch.handOver[i] = handOverAsked;
    for (const i of asked) batch.handOverMark[i] = batch.mark[i]! + 10;
    queue.settle();
    return queue.settled.slice(before).map(({ verdict, mark }) => [verdict, mark]);
  };
  const waiting = [
    [nfAccept, 2],
    [nfAccept, 3],
    [nfAccept, 1],
  ];
  assert.deepEqual(settle(0), waiting, 'the fourth waits');
  assert.equal(batch.handOver[0], handOverAsked);
  assert.deepEqual(settle(0), [[nfRepeat, 14]]);
  assert.equal(batch.handOver[0], handOverDone);
});

test('a batch is settled before the next, with verdicts that exist, and nothing after close', () => {
  const queue = new MemoryQueue();
  queue.feed({ bytes });
  queue.receive();
  assert.throws(() => queue.receive(), InvariantError);
  queue.batch.verdict[0] = 9;
  assert.throws(() => {
    queue.settle();
  }, InvariantError);
  queue.close();
  queue.close();
  assert.throws(() => queue.receive(), InvariantError);
});
