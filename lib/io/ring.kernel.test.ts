/** What only the ring has: large packets, drops that are counted, threads, and memory that must not outlive its view. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../testing.js';
import type { LivePlan } from './live-child.js';
import { everything, frame, mixedFrames, whyNoLive, withWire } from './live-testing.js';

const skip = whyNoLive();
const ring: LivePlan = { kind: 'ring', options: everything };

test('packets of 64 KiB, as segmentation offload hands them over, are whole', { skip }, () =>
  withWire(async (wire) => {
    wire.spaces.run('here', 'ip addr add 10.9.1.2/24 dev near');
    wire.spaces.run('there', 'ip addr add 10.9.1.1/24 dev far');
    const script = `import socket, sys, threading
s = socket.create_server(('10.9.1.2', 4000))
sys.stdout.write('ready'); sys.stdout.flush()
c, _ = s.accept()
while c.recv(1 << 20): pass`;
    // One direction, and as sets: packets that leave on two processors may reach two sockets in different order.
    const filter = 'tcp and dst host 10.9.1.2';
    const judged = await wire.judge(filter);
    const options = { ...everything, filter };
    // Blocks as small as they can be asked for: they are made as large as a packet needs.
    const watcher = await wire.watch({ ...ring, options, sizes: { blockBytes: 65_536, blocks: 256 } });
    await wire.start('here', ['python3', '-c', script]);
    const send = `import socket; c = socket.create_connection(('10.9.1.2', 4000)); c.sendall(bytes(range(256)) * 8192)`;
    wire.spaces.run('there', `python3 -c "${send}"`);
    const theirs = await judged();
    const { packets, counters } = await watcher.finish();
    assert.equal(counters!.kernelDropped, 0);
    const texts = (list: readonly { hex: string; wireLength: number }[]): string[] =>
      list.map(({ hex, wireLength }) => `${wireLength} ${hex}`).sort();
    assert.deepEqual(texts(packets!), texts(theirs));
    const longest = Math.max(...packets!.map(({ wireLength }) => wireLength));
    assert.ok(longest > 30_000, `the longest packet had ${longest} bytes`);
  }),
);

test('packets for which there was no room are counted, and order is kept', { skip }, () =>
  withWire(async (wire) => {
    const plan = { ...ring, options: { ...everything, snapBytes: 2048 }, late: true };
    const watcher = await wire.watch({ ...plan, sizes: { blockBytes: 65_536, blocks: 2 } });
    const frames = mixedFrames(new SeededRandom(5), 1000);
    wire.send(frames);
    const { packets, counters } = await watcher.finish();
    assert.ok(counters!.kernelDropped > 0);
    assert.equal(counters!.captured + counters!.kernelDropped, frames.length);
    const sent = frames.map((bytes) => Buffer.from(bytes).toString('hex'));
    const seen = packets!.map(({ hex }) => hex);
    assert.deepEqual(seen, sent.slice(0, seen.length), 'what fits is kept, from the first on');
  }),
);

for (const [filter, reopen] of [
  ['', 1000],
  ['udp or vlan', 100],
] as const) {
  test(`opened and closed ${reopen} times with the filter "${filter}": nothing stays`, { skip }, (t) =>
    withWire(async (wire) => {
      const sizes = { blockBytes: 65_536, blocks: 16 };
      const options = { ...everything, snapBytes: 2048, filter };
      const { first } = await wire.watch({ ...ring, options, sizes, reopen });
      assert.equal(first.error, undefined);
      t.diagnostic(`grew by ${first.growthBytes} bytes`);
      assert.ok(first.growthBytes! < 16 * 1024 * 1024, `${first.growthBytes} bytes`);
      assert.equal(first.descriptors![0], first.descriptors![1], 'one was dropped without close');
      assert.deepEqual(
        first.closed,
        [0, null],
        'the memory of a collected ring is empty to who still looks at it',
      );
      assert.match(wire.spaces.run('here', 'ip -d link show near'), /promiscuity 0/);
    }),
  );
}

test('after close the memory is empty, and while open the interface is promiscuous', { skip }, () =>
  withWire(async (wire) => {
    const watcher = await wire.watch(ring);
    assert.match(wire.spaces.run('here', 'ip -d link show near'), /promiscuity 1/);
    wire.send([frame(new SeededRandom(4), '', 10)]);
    const { closed, packets } = await watcher.finish();
    assert.equal(packets!.length, 1, 'a block that is not full is handed over');
    assert.deepEqual(closed, [0, null]);
    assert.match(wire.spaces.run('here', 'ip -d link show near'), /promiscuity 0/);
  }),
);

test(
  'two rings in two threads each see everything; a thread ended while it waits leaves no socket',
  { skip },
  () =>
    withWire(async (wire) => {
      const watcher = await wire.watch({ ...ring, threads: true });
      assert.equal(watcher.first.ready, true);
      const frames = mixedFrames(new SeededRandom(5), 500);
      wire.send(frames);
      const { threadsSaw, descriptors } = await watcher.finish();
      assert.deepEqual(threadsSaw, [500, 500]);
      assert.ok(descriptors![1]! < descriptors![0]!, `${descriptors!.join(' and ')} descriptors`);
    }),
);

test('without libpcap everything works but a filter, and that says what to install', { skip }, () =>
  withWire(async (wire) => {
    // A library that is an empty file does not load. The mount is that of the child alone.
    const hide =
      'for f in $(ldconfig -p | grep -o "/.*/libpcap\\.so[^ ]*" | sort -u); do mount --bind /dev/null "$f"; done';
    const prefix = ['unshare', '-m', 'bash', '-ec', `${hide}; exec "$@"`, 'bash'];
    const { first } = await wire.watch({ ...ring, options: { ...everything, filter: 'udp' } }, prefix);
    assert.equal(first.error?.code, 'source-missing');
    assert.match(first.error.message, /libpcap0\.8/);
    const watcher = await wire.watch(ring, prefix);
    wire.send(mixedFrames(new SeededRandom(5), 20));
    assert.equal((await watcher.finish()).packets!.length, 20);
  }),
);

test(
  'an interface that is removed while it is down, as ppp0 is, and one whose folder in /sys is not seen',
  { skip },
  () =>
    withWire(async (wire) => {
      const hide = ['unshare', '-m', 'bash', '-ec', 'umount -l /sys; exec "$@"', 'bash'];
      for (const prefix of [[], hide]) {
        const watcher = await wire.watch(ring, prefix);
        wire.spaces.run('here', 'ip link set near down; sleep 0.3; ip link set near up; sleep 0.3');
        wire.spaces.run('here', 'ip link set near down; sleep 0.3; ip link del near; sleep 0.3');
        const { errors } = await watcher.finish();
        assert.deepEqual(errors, ['interface-down', 'interface-down', 'interface-missing']);
        wire.connect();
      }
    }),
);
