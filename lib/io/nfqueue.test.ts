/** The queue against the real kernel, each test in network namespaces of its own. The host's rules are not touched. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { countedSizes } from './nfqueue.js';
import { Namespaces, udp, whyNoKernel } from './nfqueue-testing.js';
import { nfDrop, nfRepeat, packetChecksumNotReady, packetGso, packetTruncated } from './packet-queue.js';

const skip = whyNoKernel();
const port = 9999;

function namespaces(t: TestContext): Namespaces {
  const net = new Namespaces();
  t.after(() => {
    net.remove();
  });
  return net;
}

/** One namespace whose own UDP to `port` goes to queue 7; `delivered` counts what comes out behind it. */
function single(t: TestContext, rule = '-m comment --comment queue'): Namespaces {
  const net = namespaces(t);
  net.add('one');
  for (const command of ['iptables', 'ip6tables']) {
    net.run(
      'one',
      `${command} -t mangle -A OUTPUT -p udp --dport ${port} ${rule} -j NFQUEUE --queue-num 7 --queue-bypass
       ${command} -t mangle -A POSTROUTING -p udp --dport ${port} -m comment --comment delivered`,
    );
  }
  return net;
}

test('a packet that is sent: id, hook, mark, interface, lengths, frame and time', { skip }, async (t) => {
  const net = single(t);
  net.run('one', `iptables -t raw -A OUTPUT -p udp -j MARK --set-mark 0xfedcba98`);
  const child = await net.start('one', { options: { queue: 7, copyBytes: 128 } });
  const before = Date.now() * 1000;
  net.run('one', udp('127.0.0.1', port, 2, 20));
  net.run('one', udp('127.0.0.1', port, 1, 1000));
  const { packets, counters } = await child.finish();
  assert.equal(packets.length, 3);
  const [first, second, third] = packets as [(typeof packets)[0], (typeof packets)[0], (typeof packets)[0]];
  assert.deepEqual([first.id, second.id, third.id], [1, 2, 3]);
  assert.deepEqual([first.frame, second.frame, third.frame], [1, 2, 3]);
  assert.equal(first.hook, 3);
  assert.equal(first.mark, 0xfedcba98);
  assert.equal(first.inInterface, 0);
  assert.equal(first.outInterface, net.interfaceIndex('one', 'lo'));
  assert.equal(first.mac, '00:00:00:00:00:00');
  assert.deepEqual([first.wireLength, first.copied, first.flags & packetTruncated], [48, 48, 0]);
  assert.deepEqual(
    [third.wireLength, third.copied, third.flags & packetTruncated],
    [1028, 128, packetTruncated],
  );
  assert.ok(Math.abs(first.timeMicros - before) < 5e6, `time ${first.timeMicros}`);
  assert.ok(Number.isInteger(first.timeMicros) && third.timeMicros >= first.timeMicros);
  assert.equal(net.counted('one', 'delivered'), 3);
  const work = counters['workMicros']!;
  assert.ok(work > 0 && work < 5e6, `${work} microseconds between receive and settle`);
  assert.deepEqual([counters['malformed'], counters['stale'], counters['overruns']], [0, 0, 0]);
});

test('IPv6 is the same', { skip }, async (t) => {
  const net = single(t);
  const child = await net.start('one', { options: { queue: 7 }, verdict: nfDrop, verdictFrom: 1 });
  net.run('one', udp('::1', port, 2, 20));
  const { packets } = await child.finish();
  assert.deepEqual(
    packets.map(({ version, wireLength, hook }) => ({ version, wireLength, hook })),
    [6, 6].map((version) => ({ version, wireLength: 68, hook: 3 })),
  );
  assert.equal(net.counted('one', 'delivered'), 1);
});

test('dropped packets do not come out, accepted ones do', { skip }, async (t) => {
  const net = single(t);
  const child = await net.start('one', { options: { queue: 7 }, verdict: nfDrop, verdictFrom: 4 });
  net.run('one', udp('127.0.0.1', port, 10));
  await child.finish();
  assert.equal(net.counted('one', 'delivered'), 4);
});

test('repeat with a mark: the chain begins anew, and foreign bits of the mark stay', { skip }, async (t) => {
  const net = single(t, '-m mark ! --mark 0x2/0x3');
  net.run('one', 'iptables -t raw -A OUTPUT -p udp -j MARK --set-mark 0x5500');
  net.run(
    'one',
    'iptables -t mangle -A POSTROUTING -p udp -m mark --mark 0x5502 -m comment --comment marked',
  );
  const child = await net.start('one', { options: { queue: 7 }, verdict: nfRepeat, markBits: 2 });
  net.run('one', udp('127.0.0.1', port, 5));
  const { packets } = await child.finish();
  assert.equal(packets.length, 5, 'each packet was queued once');
  assert.equal(net.counted('one', 'marked'), 5);
});

test('copy range changes while the queue is open', { skip }, async (t) => {
  const net = single(t);
  const options = { queue: 7, copyBytes: 200, copyBytesMax: 2000 };
  const child = await net.start('one', { options, copyBytesLater: 1500 });
  net.run('one', udp('127.0.0.1', port, 1, 1000));
  await sleep(200);
  net.run('one', udp('127.0.0.1', port, 1, 1000));
  const { packets } = await child.finish();
  assert.deepEqual(
    packets.map(({ copied, wireLength }) => [copied, wireLength]),
    [
      [200, 1028],
      [1028, 1028],
    ],
  );
});

test('a packet is handed over behind all others of its batch, where none waits', { skip }, async (t) => {
  const net = single(t, '-m mark ! --mark 0x2/0x3');
  net.run(
    'one',
    'iptables -t mangle -A POSTROUTING -p udp -m mark --mark 0x2/0x3 -m comment --comment marked',
  );
  // Other places in each batch: nothing is left of the one before.
  const handOver = { every: 24, from: 10, markBits: 2 };
  const child = await net.start('one', { options: { queue: 7, batchPackets: 32 }, wait: true, handOver });
  net.run('one', udp('127.0.0.1', port, 64));
  child.go();
  const { packets, counters } = await child.finish();
  assert.deepEqual([packets[0]!.batch, packets[63]!.batch], [32, 32], 'all were waiting');
  assert.equal(net.counted('one', 'marked'), 2, 'the 35th and the 59th, in the second batch');
  assert.equal(net.counted('one', 'delivered'), 64);
  // In a row before the first that is asked for (10 and 2), then each by itself, and one that was left, then two.
  assert.equal(counters['verdictMessages'], 1 + 21 + 1 + (1 + 28 + 1));
  assert.deepEqual([packets.length, counters['stale']], [64, 0], 'each was queued once and settled once');
});

test('a batch of equal verdicts is one message, and marks cut it into runs', { skip }, async (t) => {
  const net = single(t);
  const equal = await net.start('one', { options: { queue: 7 }, wait: true });
  net.run('one', udp('127.0.0.1', port, 64));
  equal.go();
  const one = await equal.finish();
  assert.equal(one.packets[0]!.batch, 64, 'all were waiting');
  assert.equal(one.counters['verdictMessages'], 1);
  net.run('one', 'iptables -t mangle -A POSTROUTING -p udp -m mark --mark 0x4 -m comment --comment marked');
  const plan = { options: { queue: 7 }, wait: true, markBits: 4, markEvery: 16 };
  const mixed = await net.start('one', plan);
  net.run('one', udp('127.0.0.1', port, 64));
  mixed.go();
  const { counters } = await mixed.finish();
  assert.equal(counters['verdictMessages'], 8, 'four marked packets and four runs between them');
  assert.equal(net.counted('one', 'marked'), 4);
  assert.equal(net.counted('one', 'delivered'), 128);
  assert.equal(counters['stale'], 0);
});

test(
  'forwarded packets: both interfaces and the sender’s hardware address; TCP arrives whole',
  { skip },
  async (t) => {
    const net = namespaces(t);
    net.addRouter();
    net.run('router', 'iptables -A FORWARD -p tcp -j NFQUEUE --queue-num 7 --queue-bypass');
    const child = await net.start('router', { options: { queue: 7, copyBytes: 256 } });
    const server = `require('node:net').createServer((socket) => { let sum = 0; socket.on('data', (data) => { sum += data.length; }).on('end', () => { console.log(sum); process.exit(0); }); }).listen(5001)`;
    const client = `require('node:net').connect(5001, '10.9.2.2').end(Buffer.alloc(3000000))`;
    const received = `ip netns exec ${net.name('right')} timeout 10 ${process.execPath} -e "${server}" &
    sleep 0.6; ip netns exec ${net.name('left')} timeout 10 ${process.execPath} -e "${client}"; wait`;
    const { stdout, stderr } = spawnSync('bash', ['-c', received], { encoding: 'utf8', timeout: 15_000 });
    assert.equal(stdout.trim(), '3000000', stderr);
    const { packets, counters } = await child.finish();
    const [left, right] = [net.interfaceIndex('router', 'left'), net.interfaceIndex('router', 'right')];
    const mac = net.run('left', 'cat /sys/class/net/wire/address').trim();
    const forth = packets.filter(({ inInterface }) => inInterface === left);
    assert.ok(
      forth.length > 0 && forth.every((packet) => packet.outInterface === right && packet.mac === mac),
    );
    assert.ok(packets.every(({ hook }) => hook === 2));
    const large = forth.filter(({ wireLength }) => wireLength > 1500);
    assert.ok(large.length > 0, 'no packet was larger than the MTU');
    for (const packet of large) {
      assert.equal(packet.flags, packetGso | packetChecksumNotReady | packetTruncated);
      assert.equal(packet.copied, 256);
    }
    assert.deepEqual([counters['malformed'], counters['overruns']], [0, 0]);
  },
);

test('a queue that is in use names the process', { skip }, async (t) => {
  const net = single(t);
  const first = await net.start('one', { options: { queue: 7 } });
  const second = await net.start('one', { options: { queue: 7 } });
  const { error } = second.said[0]!;
  assert.equal(error?.code, 'queue-busy');
  assert.match(error.message, new RegExp(`process ${first.pid} \\(.*nfqueue-child`));
});

test('without CAP_NET_ADMIN the error says what to do', { skip }, async (t) => {
  const net = single(t);
  const without = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'];
  const child = await net.start('one', { options: { queue: 7 } }, without);
  assert.equal(child.said[0]!.error?.code, 'queue-permission');
  assert.match(child.said[0]!.error.message, /CAP_NET_ADMIN/);
});

test('close lets the packets pass that the kernel still holds', { skip }, async (t) => {
  const net = single(t);
  const child = await net.start('one', {
    options: { queue: 7, batchPackets: 4 },
    wait: true,
    hold: true,
  });
  net.run('one', udp('127.0.0.1', port, 10));
  child.go();
  assert.equal((await child.next()).holding, 4);
  assert.equal(net.counted('one', 'delivered'), 0);
  await child.finish();
  assert.equal(net.counted('one', 'delivered'), 10);
});

test('so it does when packets that did not fit left a gap in the batch in hand', { skip }, async (t) => {
  const net = single(t);
  const options = { queue: 7, receiveBufferBytes: 20_000 };
  const trial = await net.start('one', { options, wait: true });
  net.run('one', udp('127.0.0.1', port, 1000));
  const fit = 1000 - net.counted('one', 'delivered');
  await trial.finish();
  // The first batch leaves a third of them, and makes room for packets behind the gap.
  const batchPackets = Math.ceil((fit * 2) / 3);
  const plan = { options: { ...options, batchPackets }, wait: true, hold: true, holdFrom: batchPackets };
  const child = await net.start('one', { ...plan, pauseMillis: 1500 });
  net.run('one', udp('127.0.0.1', port, 1000));
  child.go();
  await sleep(300);
  net.run('one', udp('127.0.0.1', port, 17));
  assert.ok((await child.next()).holding! > 0);
  const { packets } = await child.finish();
  const ids = packets.slice(batchPackets).map(({ id }) => id);
  const seen = `${fit} fit; in hand ${ids.join(' ')}`;
  assert.ok(Math.max(...ids) - Math.min(...ids) > 500, seen);
  assert.equal(net.counted('one', 'delivered'), 2017, seen);
});

test('a killed consumer: the rule’s bypass lets the next packets pass', { skip }, async (t) => {
  const net = single(t);
  const child = await net.start('one', { options: { queue: 7 }, verdict: nfDrop });
  net.run('one', udp('127.0.0.1', port, 3));
  assert.equal(net.counted('one', 'delivered'), 0);
  child.kill();
  await sleep(200);
  net.run('one', udp('127.0.0.1', port, 3));
  assert.equal(net.counted('one', 'delivered'), 3);
});

test('two workers serve two queues, and a terminated worker unbinds its queue', { skip }, async (t) => {
  const net = single(t);
  const child = await net.start('one', { options: { queue: 0, timeoutMillis: 50 }, workers: [7, 8] });
  net.run('one', 'iptables -t mangle -I OUTPUT -p udp --dport 9998 -j NFQUEUE --queue-num 8');
  net.run('one', 'iptables -t mangle -A POSTROUTING -p udp --dport 9998 -m comment --comment other');
  net.run('one', `${udp('127.0.0.1', port, 20)}; ${udp('127.0.0.1', 9998, 20)}`);
  assert.deepEqual([net.counted('one', 'delivered'), net.counted('one', 'other')], [20, 20]);
  const { owners } = await child.finish();
  const [both, second, none] = owners!;
  assert.ok(both!.every((port) => port !== null) && both[0] !== both[1]);
  assert.deepEqual(second, [null, both[1]]);
  assert.deepEqual(none, [null, null]);
});

test('opened and closed some hundred times: no descriptor and no memory is kept', { skip }, async (t) => {
  const net = single(t);
  const options = { queue: 7, copyBytes: 4096, batchPackets: 256 };
  const child = await net.start('one', { options, reopen: 400 });
  const { growthBytes, descriptors, owners } = child.said[0]!;
  assert.equal(descriptors![1], descriptors![0]);
  assert.deepEqual(owners, [[null]], 'a queue that was dropped without close is unbound by its finalizer');
  // 400 leaked slabs would be 470 MB, 400 leaked handles 13 MB.
  assert.ok(growthBytes! < 10e6, `grew by ${growthBytes} bytes`);
});

test('overload without fail-open: what did not fit is counted, and the rest goes on', { skip }, async (t) => {
  const net = single(t);
  const options = { queue: 7, receiveBufferBytes: 65_536, failOpen: false };
  const child = await net.start('one', { options, wait: true });
  net.run('one', udp('127.0.0.1', port, 2000));
  child.go();
  await sleep(200);
  net.run('one', udp('127.0.0.1', port, 10));
  const { counters } = await child.finish();
  assert.ok(counters['overruns']! > 1000, `overruns ${counters['overruns']}`);
  assert.equal(counters['overruns']! + counters['total']!, 2010);
  assert.equal(net.counted('one', 'delivered'), counters['total']);
});

test('full for long, and the queue is made short; all is still counted', { skip }, async (t) => {
  const net = single(t);
  const options = { queue: 7, batchPackets: 16, receiveBufferBytes: 400 * 1024 };
  const child = await net.start('one', { options, pauseMillis: 1 });
  const senders = Array.from({ length: 8 }, () => `(${udp('127.0.0.1', port, 4000)}) &`).join('\n');
  net.run('one', `${senders}\nwait`);
  await sleep(300);
  net.run('one', udp('127.0.0.1', port, 10));
  const { counters } = await child.finish();
  assert.ok(counters['shortenings']! > 0, JSON.stringify(counters));
  assert.equal(counters['overruns']! + counters['total']!, 32_010);
  assert.equal(net.counted('one', 'delivered'), 32_010);
});

test('overload with fail-open: what did not fit is counted and passes', { skip }, async (t) => {
  const net = single(t);
  const options = { queue: 7, receiveBufferBytes: 65_536, failOpen: true };
  const child = await net.start('one', { options, wait: true });
  net.run('one', udp('127.0.0.1', port, 2000));
  child.go();
  await sleep(200);
  net.run('one', udp('127.0.0.1', port, 10));
  const { counters } = await child.finish();
  assert.ok(counters['overruns']! > 1000, `overruns ${counters['overruns']}`);
  assert.equal(net.counted('one', 'delivered'), 2010);
});

test(
  'whatever the length of the queue, all that passes it is counted, also while a batch is in hand',
  { skip },
  async (t) => {
    const sent = 6000;
    for (const [lengthMax, batchPackets] of [
      [16, 64],
      [64, 64],
      // A sending socket has room for 256 that wait.
      [128, 256],
    ] as const) {
      const net = single(t);
      const sizes = countedSizes(lengthMax, { batchPackets, receiveBufferBytes: 1536 * 1024 });
      const options = { queue: 7, lengthMax, ...sizes };
      const child = await net.start('one', { options, pauseMillis: 30 });
      net.run('one', udp('127.0.0.1', port, sent));
      await sleep(100);
      // Shows a gap behind the last one that was taken.
      net.run('one', udp('127.0.0.1', port, 1));
      const { counters } = await child.finish();
      const about = `length ${lengthMax}, batch ${batchPackets}: ${JSON.stringify(counters)}`;
      assert.ok(counters['overruns']! > 100, `no overload: ${about}`);
      assert.equal(counters['overruns']! + counters['total']!, sent + 1, about);
      net.remove();
    }
  },
);

test('packets that vanished from the kernel are counted as stale', { skip }, async (t) => {
  const net = namespaces(t);
  net.addRouter();
  net.run('router', 'iptables -A FORWARD -p udp -j NFQUEUE --queue-num 7');
  const child = await net.start('router', { options: { queue: 7, batchPackets: 1 }, wait: true });
  net.run('left', udp('10.9.2.2', port, 5));
  net.run('router', 'ip link set right down');
  child.go();
  const { counters } = await child.finish();
  assert.equal(counters['stale'], 5);
});
