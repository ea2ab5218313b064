/** Both live sources beside tcpdump on the same interface at the same time: the same packets, byte for byte, in order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../testing.js';
import type { ReadPacket } from './capture-testing.js';
import type { LivePacket, LivePlan, LiveWords } from './live-child.js';
import { everything, frame, mixedFrames, whyNoLive, type Wire, withWire } from './live-testing.js';
import { capProblem } from './open-live.js';

const noLive = whyNoLive();
const kinds = [
  { kind: 'ring', skip: noLive },
  { kind: 'cap', skip: noLive === false ? (capProblem() ?? false) : noLive },
] as const;

interface Seen {
  readonly ours: LiveWords;
  readonly theirs: ReadPacket[];
}

/** What a source and tcpdump with the same filter see of the same traffic. */
async function seenByBoth(wire: Wire, plan: LivePlan, traffic: () => void): Promise<Seen> {
  const judged = await wire.judge(plan.options.filter, plan.options.interface);
  const watcher = await wire.watch(plan);
  assert.equal(watcher.first.error, undefined);
  traffic();
  const theirs = await judged();
  return { ours: await watcher.finish(), theirs };
}

/** Bytes up to `snapBytes` and lengths on the wire, in order; time stamps of the same second. */
function assertSame(ours: readonly LivePacket[], theirs: readonly ReadPacket[], snapBytes: number): void {
  assert.equal(ours.length, theirs.length);
  ours.forEach((packet, i) => {
    const judge = theirs[i]!;
    assert.equal(packet.hex, judge.hex.slice(0, 2 * snapBytes), `packet ${i}`);
    assert.equal(packet.wireLength, judge.wireLength, `packet ${i}`);
    assert.ok(Math.abs(packet.timeMicros - judge.timeMicros) < 60e6, 'microseconds since 1970');
    assert.equal(packet.frame, i + 1);
    assert.equal(packet.linkType, 1);
  });
}

for (const { kind, skip } of kinds) {
  test(`${kind}: the same packets as tcpdump, VLAN tags included`, { skip }, () =>
    withWire(async (wire) => {
      const frames = mixedFrames(new SeededRandom(5), 1500);
      const { ours, theirs } = await seenByBoth(wire, { kind, options: everything }, () => {
        wire.send(frames);
      });
      assertSame(ours.packets!, theirs, everything.snapBytes);
      assert.deepEqual(
        ours.packets!.map(({ hex }) => hex),
        frames.map((bytes) => Buffer.from(bytes).toString('hex')),
      );
      assert.equal(ours.counters!.captured, frames.length);
      assert.equal(ours.counters!.kernelDropped, kind === 'ring' ? 0 : -1);
      assert.ok(ours.largestBatch! <= everything.batchPackets);
    }),
  );

  for (const filter of ['udp port 53', 'vlan 7', 'vlan 100 and vlan 200', 'ip and not vlan']) {
    test(`${kind}: the filter "${filter}" lets through what it does with tcpdump`, { skip }, () =>
      withWire(async (wire) => {
        const options = { ...everything, filter };
        const { ours, theirs } = await seenByBoth(wire, { kind, options }, () => {
          wire.send(mixedFrames(new SeededRandom(5), 200));
        });
        assert.ok(theirs.length > 10 && theirs.length < 150, `${theirs.length} of 200`);
        assertSame(ours.packets!, theirs, options.snapBytes);
      }),
    );
  }

  test(`${kind}: the snap length cuts bytes and not lengths, whatever the size of a batch`, { skip }, () =>
    withWire(async (wire) => {
      for (const batchPackets of [1, 7, 256]) {
        const options = { ...everything, snapBytes: 96, batchPackets };
        const { ours, theirs } = await seenByBoth(wire, { kind, options }, () => {
          wire.send(mixedFrames(new SeededRandom(5), 300));
        });
        assertSame(ours.packets!, theirs, 96);
        assert.ok(ours.largestBatch! <= batchPackets);
      }
    }),
  );

  test(`${kind}: without promiscuity no packets for other stations`, { skip }, () =>
    withWire(async (wire) => {
      const random = new SeededRandom(3);
      const mine = frame(random, '', 50);
      const other = frame(random, '', 60);
      other[5] = 9;
      const group = frame(random, '', 70);
      group.fill(0xff, 0, 6);
      const watcher = await wire.watch({ kind, options: { ...everything, promiscuous: false } });
      const shown = wire.spaces.run('here', 'ip -d link show near');
      if (kind === 'ring') assert.match(shown, /promiscuity 0/);
      wire.send([other, mine, group]);
      const { packets } = await watcher.finish();
      assert.deepEqual(
        packets!.map(({ wireLength }) => wireLength),
        [mine.length, group.length],
      );
    }),
  );

  test(`${kind}: the loopback interface shows each packet once`, { skip }, () =>
    withWire(async (wire) => {
      const options = { ...everything, interface: 'lo', filter: 'icmp' };
      const { ours, theirs } = await seenByBoth(wire, { kind, options }, () => {
        wire.spaces.run('here', 'ping -q -c 3 -i 0.01 127.0.0.1');
      });
      assert.equal(theirs.length, 6);
      assertSame(ours.packets!, theirs, options.snapBytes);
    }),
  );

  test(`${kind}: an IP tunnel's packets begin with their IP header`, { skip }, () =>
    withWire(async (wire) => {
      wire.spaces.run('here', 'ip tuntap add dev near9 mode tun; ip addr add 10.8.0.1/24 dev near9');
      wire.spaces.run('here', 'ip link set near9 up');
      const ip = frame(new SeededRandom(1), '', 40).subarray(14);
      const watcher = await wire.watch({
        kind,
        options: { ...everything, interface: 'near9', filter: 'udp' },
      });
      assert.equal(watcher.first.error, undefined);
      const script = `import fcntl, os, struct, sys
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH', b'near9', 0x1001))
os.write(tun, bytes.fromhex('${Buffer.from(ip).toString('hex')}'))
import time; time.sleep(0.2)`;
      wire.spaces.run('here', `python3 -c "${script}"`);
      const { packets } = await watcher.finish();
      assert.deepEqual(
        packets!.map(({ hex, linkType }) => ({ hex, linkType })),
        [{ hex: Buffer.from(ip).toString('hex'), linkType: 101 }],
      );
    }),
  );

  test(`${kind}: an interface that goes down or away while it is watched`, { skip }, () =>
    withWire(async (wire) => {
      const hello = frame(new SeededRandom(2), '', 30);
      const watcher = await wire.watch({ kind, options: everything });
      wire.send([hello]);
      wire.spaces.run('here', 'ip link set near down; sleep 0.3; ip link set near up; sleep 0.3');
      wire.send([hello]);
      wire.spaces.run('here', 'ip link del near; sleep 0.3');
      const { packets, errors } = await watcher.finish();
      if (kind === 'ring') {
        assert.deepEqual(errors, ['interface-down', 'interface-missing']);
        assert.equal(packets!.length, 2, 'it goes on when the interface is up again');
      } else {
        assert.equal(errors!.length, 1, 'it ends once');
        assert.match(errors![0]!, /^interface-down$|^capture-failed$/);
        assert.equal(packets!.length, 1);
      }
      const hex = Buffer.from(hello).toString('hex');
      for (const packet of packets!) assert.equal(packet.hex, hex, 'the last packets before it are not lost');
    }),
  );

  test(`${kind}: what stands in the way has a code and says what to do`, { skip }, () =>
    withWire(async (wire) => {
      const refusal = async (changes: object, prefix: string[] = []): Promise<string> => {
        const { first } = await wire.watch({ kind, options: { ...everything, ...changes } }, prefix);
        return `${first.error?.code}: ${first.error?.message}`;
      };
      assert.match(await refusal({ interface: 'nowhere' }), /^interface-missing: .*"nowhere".*ip link.*near/);
      const long = 'an-interface-of-a-long-name';
      assert.match(await refusal({ interface: long }), /^interface-missing: .*an-interface-of/);
      wire.spaces.run('here', 'ip link add sleeping type veth peer name other');
      assert.match(
        await refusal({ interface: 'sleeping' }),
        /^interface-down: .*ip link set dev sleeping up/,
      );
      const bad = await refusal({ filter: 'tcp porst 80' });
      assert.match(bad, /^bad-filter: .*tcp porst 80.*syntax error.*pcap-filter/);
      const unprivileged = ['setpriv', '--bounding-set', '-net_raw', '--inh-caps', '-net_raw'];
      assert.match(await refusal({}, unprivileged), /^capture-permission: .*CAP_NET_RAW/);
    }),
  );
}

test('cap: bad filters in a row end no process and keep nothing open', { skip: kinds[1].skip }, () =>
  withWire(async (wire) => {
    const options = { ...everything, filter: 'no such filter' };
    const { first } = await wire.watch({ kind: 'cap', options, reopen: 20 });
    assert.deepEqual(first.errors, Array(20).fill('bad-filter'));
    assert.equal(first.descriptors![0], first.descriptors![1]);
  }),
);

test(
  'cap: its process ends with the one that watches, also when that is killed',
  { skip: kinds[1].skip },
  () =>
    withWire(async (wire) => {
      const watcher = await wire.watch({ kind: 'cap', options: everything });
      const programs = (): string =>
        wire.spaces.run('here', 'ps -o args= -p "$(ip netns pids "$(ip netns identify)" | paste -sd,)"');
      assert.match(programs(), /cap-child/);
      watcher.kill();
      for (let i = 0; i < 100 && programs().includes('cap-child'); i++) await sleep(50);
      assert.doesNotMatch(programs(), /cap-child/);
    }),
);

test(
  'cap: a signal to the whole group (Ctrl-C, systemd) leaves the end to the one that watches',
  { skip: kinds[1].skip },
  () =>
    withWire(async (wire) => {
      const watcher = await wire.watch({ kind: 'cap', options: everything });
      const inside = 'ip netns pids "$(ip netns identify)"';
      const pids = wire.spaces.run('here', `ps -o pid=,args= -p "$(${inside} | paste -sd,)"`).split('\n');
      const pid = Number.parseInt(
        pids.find((line) => line.includes('cap-child'))!,
        10,
      );
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, signal);
      await sleep(200);
      const hello = frame(new SeededRandom(2), '', 30);
      wire.send([hello]);
      const { packets, errors } = await watcher.finish();
      assert.deepEqual(errors, []);
      assert.equal(packets!.length, 1);
    }),
);
