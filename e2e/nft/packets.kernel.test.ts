/**
 * `swarmgate run --rules nft` and real packets. Most kernels have what this needs; where it is missing, e2e/nft/run
 * runs these tests in an emulated machine.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseQueueStats } from '../../lib/control/queue-stats.js';
import { NftFirewall } from '../../lib/firewall/nft.js';
import { nftIsMissing, ruleSet } from '../../lib/firewall/testing.js';
import { Tools } from '../../lib/firewall/tools.js';
import { repositoryPath } from '../../lib/testing.js';
import { Filter, type FilterOptions } from '../filter.js';
import { Lab } from '../lab.js';
import { slowness, until, type Running } from '../process.js';
import { handshake, startFlood, startListener, talk, target, targetPort, webRequest } from '../traffic.js';

const dropping = 'action: { default: drop }\n';
/** A ping of the DHT, BEP 5. */
const dhtPing = Buffer.from('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe', 'latin1');
/** Means nothing to any detector. */
const noise = Buffer.alloc(100, 0xee);
const silence = 3 * slowness;
const skip: string | false =
  process.getuid?.() === 0 ? nftIsMissing() : 'needs root: it makes network namespaces';

describe('the filter by nft', { skip, timeout: 240_000 * slowness }, () => {
  let lab: Lab;
  let listener: Running;
  let untouched: string;
  const nft = (...words: string[]): string => lab.runNow('router', ['nft', ...words]);
  const ruleset = (): string => nft('-s', 'list', 'ruleset');

  before(async () => {
    lab = await Lab.create();
    listener = await startListener(lab);
    untouched = ruleset();
  });
  after(async () => {
    await lab.close();
  });
  afterEach(async () => {
    await Filter.stopAll();
    nft('flush', 'ruleset');
  });

  async function start(options: Partial<FilterOptions> = {}): Promise<Filter> {
    const words = ['--rules', 'nft', ...(options.words ?? [])];
    const filter = await Filter.start(lab, { mode: 'enforce', workers: 1, ...options, words });
    const { rules } = await filter.status();
    assert.deepEqual([rules.backend, rules.state], ['nft', 'intact']);
    return filter;
  }

  /** The peer's first words are answered, or the connection is reset, or there is silence. */
  async function peer(localPort = 0): Promise<string> {
    const { connected, received, outcome } = await talk(lab, handshake, localPort, silence);
    assert.ok(connected);
    assert.equal(received > 0, outcome === 'end');
    return outcome;
  }

  /** Datagrams that the server has received since it started. */
  async function datagrams(): Promise<number> {
    await sleep(300);
    const before = listener.stdout.length;
    listener.signal('SIGUSR2');
    let match: RegExpExecArray | null = null;
    await until(
      () => (match = /datagrams (\d+)\n/.exec(listener.stdout.slice(before))) !== null,
      10,
      'the count of the listener',
    );
    return Number(match![1]);
  }

  /** Sends so many datagrams, and then so many others, from one port. */
  async function send(payload: Uint8Array, count: number, then = payload, thenCount = 0): Promise<void> {
    const code =
      "const s = require('node:dgram').createSocket('udp4'); const [port, host, n, a, m, b] = process.argv.slice(1);" +
      'let i = 0; const next = () => { if (i >= +n + +m) s.close(); else s.send(Buffer.from(i++ < +n ? a : b, "hex"),' +
      ' +port, host, () => setTimeout(next, 5)); }; next();';
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    const words = [String(targetPort), target, String(count), hex(payload), String(thenCount), hex(then)];
    await lab.run('client', [process.execPath, '-e', code, ...words]);
  }

  /** Packets that the kernel holds. */
  function waiting(): number {
    const queues = parseQueueStats(lab.runNow('router', ['cat', '/proc/net/netfilter/nfnetlink_queue']));
    return [...queues.values()].reduce((sum, queue) => sum + queue.waiting, 0);
  }

  /** Stops the filter's process while packets wait in the queue; gives how many were sent. */
  async function holdPackets(filter: Filter): Promise<number> {
    filter.process.signal('SIGSTOP');
    const sent = Number(/sent (\d+)/.exec(await startFlood(lab, 200, 1).succeeds(20))![1]);
    assert.ok(sent > 20, `only ${sent} datagrams`);
    assert.equal(waiting(), sent, 'all of them wait in the queue');
    return sent;
  }

  test('enforce: other traffic passes, a peer is reset at once, and its flow is named', async () => {
    const filter = await start();
    const page = await talk(lab, webRequest, 0, silence);
    assert.equal(page.outcome, 'end', JSON.stringify(page));
    const before = await datagrams();
    await send(noise, 5);
    assert.equal((await datagrams()) - before, 5);
    assert.equal(await peer(), 'ECONNRESET', filter.process.tail());
    const status = await filter.status();
    assert.ok(status.packets > 10);
    assert.ok(status.actions.rejected >= 1);
    assert.equal(status.decisions[0]?.action, 'reject');
    await filter.stop();
    assert.equal(ruleset(), untouched);
    assert.equal(await peer(), 'end', 'after the stop everything passes');
  });

  test('enforce with drop: a DHT ping does not arrive, and its flow does not come back', async (t) => {
    const filter = await start({ config: dropping });
    const before = await datagrams();
    await send(dhtPing, 20);
    assert.equal(await datagrams(), before, 'nothing arrived');
    // Conntrack forgets a flow none of whose packets passed: each is judged again.
    assert.equal((await filter.status()).packets, 20);
    await send(noise, 1, dhtPing, 50);
    assert.equal(await datagrams(), before + 1, 'what came before the ping arrived');
    const { packets, actions } = await filter.status();
    t.diagnostic(`${packets - 20} of 51 packets came to user space`);
    assert.ok(packets < 20 + 30, 'the kernel drops the others by itself');
    assert.equal(actions.dropped, packets - 1, 'only what came before the ping passed');
    assert.equal(await peer(), 'timeout');
    await filter.stop();
  });

  test('a flow that was let go does not come back either, and loses no packet', async (t) => {
    const filter = await start({ config: 'limits: { inspected_packets: 10 }\n' });
    const before = await datagrams();
    await send(noise, 400);
    assert.equal((await datagrams()) - before, 400);
    const { packets, actions } = await filter.status();
    t.diagnostic(`${packets} of 400 packets came to user space`);
    // One direction only: the flow is let go after 16 times its budget.
    assert.ok(packets >= 10 && packets < 200, String(packets));
    assert.ok(actions.accepted >= 1);
    await filter.stop();
  });

  test('monitor: the same is seen, and nothing is blocked', async () => {
    const filter = await start({ mode: 'monitor' });
    assert.equal(await peer(), 'end');
    const before = await datagrams();
    await send(dhtPing, 5);
    assert.equal((await datagrams()) - before, 5);
    const actions = (await filter.status()).decisions.map(({ action }) => action);
    assert.deepEqual(actions, ['monitor-reject', 'monitor-reject']);
    await filter.stop();
  });

  test('--local: a client on the filter’s own host', async () => {
    const filter = await start({ words: ['--local'] });
    const own = (payload: Uint8Array): Promise<string> =>
      lab.run('router', [
        ...[process.execPath, repositoryPath('dist', 'e2e', 'tools', 'talk.js'), '0', target],
        ...[String(targetPort), Buffer.from(payload).toString('hex'), String(silence)],
      ]);
    assert.match(await own(webRequest), /"outcome":"end"/);
    assert.match(await own(handshake), /"outcome":"ECONNRESET"/);
    await filter.stop();
  });

  test('foreign bits of both marks pass through, ours never leave the machine', async () => {
    const counters = ['every', 'foreign', 'connection', 'ours', 'decided'];
    nft(
      [
        'add table inet admin',
        ...counters.map((name) => `add counter inet admin ${name}`),
        'add chain inet admin pre { type filter hook prerouting priority -190; }',
        'add rule inet admin pre meta mark set 0x8a000305',
        'add rule inet admin pre ct mark set ct mark and 0x70000000 or 0x8c000a07',
        'add chain inet admin post { type filter hook postrouting priority 300; }',
        'add rule inet admin post counter name every',
        'add rule inet admin post meta mark 0x8a000305 counter name foreign',
        'add rule inet admin post ct mark and 0x8fffffff == 0x8c000a07 counter name connection',
        'add rule inet admin post meta mark and 0x70000000 != 0 counter name ours',
        'add rule inet admin post ct mark and 0x70000000 != 0 counter name decided',
      ].join('; '),
    );
    const filter = await start({ config: 'limits: { inspected_packets: 2 }\n' });
    for (let i = 0; i < 3; i++) assert.equal((await talk(lab, webRequest, 0, silence)).outcome, 'end');
    await send(noise, 100);
    await sleep(300);
    const [all, foreign, connection, ours, decided] = counters.map((name) =>
      Number(/packets (\d+)/.exec(nft('list', 'counter', 'inet', 'admin', name))![1]),
    );
    await filter.stop();
    assert.ok(all! > 110, String(all));
    assert.equal(foreign, all, 'packets that kept the foreign mark');
    assert.equal(connection, all, 'packets whose connection kept the foreign mark');
    assert.equal(ours, 0, 'packets that still carry our field when they leave');
    assert.ok(decided! > 0, 'the connection keeps our decision');
  });

  test('a five-tuple that is used again is inspected anew', async () => {
    const filter = await start({ config: dropping });
    const port = 33_333;
    assert.equal(await peer(port), 'timeout');
    const page = await talk(lab, webRequest, port, silence);
    assert.equal(page.outcome, 'end', JSON.stringify(page));
    await sleep(500);
    assert.equal(await peer(port), 'timeout', 'a flow that was let go does not protect the next');
    await filter.stop();
  });

  test('kill -9: everything passes, and `swarmgate firewall remove` cleans up', async () => {
    const filter = await start();
    assert.equal(await peer(), 'ECONNRESET');
    const installed = ruleset();
    const before = await datagrams();
    const flood = startFlood(lab, 100, 3);
    await sleep(1500);
    filter.process.signal('SIGKILL');
    await filter.process.exited;
    assert.equal(ruleset(), installed, 'kill -9 leaves the rules');
    assert.equal(await peer(), 'end', 'the bypass lets everything pass');
    const sent = Number(/sent (\d+)/.exec(await flood.succeeds(20))![1]);
    const lost = sent - ((await datagrams()) - before);
    assert.ok(
      lost <= 5 * slowness,
      `${lost} of ${sent} datagrams were lost: more than a queue holds in passing`,
    );
    await lab.run('router', [
      ...[process.execPath, repositoryPath('dist', 'program', 'swarmgate.js'), 'firewall', 'remove'],
    ]);
    assert.equal(ruleset(), untouched);
  });

  test('stop during traffic: nothing is lost, exit 0, the rules are as before', async (t) => {
    for (let round = 0; round < 3; round++) {
      const filter = await start();
      const before = await datagrams();
      const flood = startFlood(lab, 500, 8);
      await until(async () => (await filter.status()).packets > 300, 20, 'packets in the filter');
      assert.deepEqual(await filter.stop(), { code: 0, signal: null });
      assert.equal(flood.exit, null, 'it stopped during traffic');
      assert.equal(ruleset(), untouched);
      await lost(t, flood, before);
    }
  });

  async function lost(t: TestContext, flood: Running, before: number): Promise<void> {
    const sent = Number(/sent (\d+)/.exec(await flood.succeeds(20))![1]);
    const arrived = (await datagrams()) - before;
    t.diagnostic(`${sent} datagrams sent, ${arrived} arrived`);
    assert.equal(arrived, sent);
  }

  test('packets that wait when the rules are drained or written again are not lost', async () => {
    const filter = await start();
    const firewall = new NftFirewall(new Tools(['ip', 'netns', 'exec', lab.namespace('router')]));
    const installed = ruleset();
    for (const what of ['drain', 'install'] as const) {
      const before = await datagrams();
      const sent = await holdPackets(filter);
      if (what === 'drain') await firewall.drain('default');
      else await firewall.install(ruleSet({ queueFirst: 9600 }));
      assert.equal(waiting(), sent, `${what}: they still wait`);
      filter.process.signal('SIGCONT');
      await until(() => waiting() === 0, 20, 'an empty queue');
      assert.equal((await datagrams()) - before, sent, `${what}: all of them arrived`);
      await until(() => ruleset() === installed, 20, 'restored rules');
    }
    await filter.stop();
  });

  test('reload during traffic loses nothing', async (t) => {
    const filter = await start({ config: 'log: { level: info }\n' });
    const before = await datagrams();
    const flood = startFlood(lab, 500, 8);
    for (let i = 0; i < 3; i++) {
      filter.process.signal('SIGHUP');
      await sleep(1500);
    }
    await lost(t, flood, before);
    assert.match(filter.process.output, /read again and taken over/);
    await filter.stop();
  });

  test('rules that somebody else wipes are written again', async () => {
    const filter = await start();
    const installed = ruleset();
    nft('flush', 'ruleset');
    assert.equal(await peer(), 'end', 'until that is noticed everything passes');
    const restored = async (): Promise<boolean> => (await filter.status()).rules.restored > 0;
    await until(restored, 30, () => `restored rules\n${filter.process.tail()}`);
    assert.equal((await filter.status()).rules.state, 'intact');
    assert.equal(ruleset(), installed);
    assert.equal(await peer(), 'ECONNRESET');
    await filter.stop();
    assert.equal(ruleset(), untouched);
  });
});
