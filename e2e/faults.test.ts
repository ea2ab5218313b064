/**
 * What goes wrong on a router, done on purpose while traffic runs: whatever happens to the filter, forwarding goes on.
 * Pings are counted through every fault; how many were lost is printed.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { download, slowUrl, startWeb, webUrl } from './benign.js';
import { Filter, savedRules } from './filter.js';
import { Lab } from './lab.js';
import { until } from './process.js';
import { withoutFilter } from './requirements.js';
import { Ping, startFlood, startListener, Torrents, type PingLoss } from './traffic.js';

/** At 50 pings a second: those that waited in the queue when it went away. */
const lostMost = 5;
/** Several times what the transfer takes without the filter. */
const blockedSeconds = 5;

describe('faults', { skip: withoutFilter, timeout: 240_000 }, () => {
  let lab: Lab;
  let torrents: Torrents;
  let rulesBefore: string;

  before(async () => {
    lab = await Lab.create();
    torrents = new Torrents(lab);
    await startWeb(lab);
    await startListener(lab);
  });
  after(async () => {
    await lab.close();
  });
  afterEach(async () => {
    await Filter.stopAll();
  });
  beforeEach(() => {
    rulesBefore = savedRules(lab);
  });

  async function blocks(filter: Filter): Promise<void> {
    assert.equal(await torrents.blocksWithin(blockedSeconds), 0, `blocks arrived\n${filter.process.tail()}`);
  }

  function few(t: TestContext, loss: PingLoss, most: number, filter: Filter): void {
    t.diagnostic(`${loss.lost} of ${loss.sent} pings lost`);
    assert.ok(loss.sent > 20, 'too few pings to say anything');
    assert.ok(loss.lost <= most, `${loss.lost} of ${loss.sent} pings lost\n${filter.process.tail()}`);
  }

  test('kill -9: forwarding goes on, and the next start takes over what was left', async (t) => {
    const first = await Filter.start(lab, { mode: 'enforce' });
    await blocks(first);
    const ping = new Ping(lab);
    const transfer = download(lab, slowUrl('http'));
    await sleep(1000);
    first.process.signal('SIGKILL');
    await first.process.exited;
    await transfer;
    await download(lab, webUrl('https', 6));
    few(t, await ping.end(), lostMost, first);
    assert.notEqual(savedRules(lab), rulesBefore, 'kill -9 leaves the rules');
    assert.equal(await torrents.blocksWithin(30), torrents.blocks, 'the bypass lets everything pass');
    const second = await Filter.start(lab, { mode: 'enforce' });
    await blocks(second);
    await second.stop();
    assert.equal(savedRules(lab), rulesBefore);
  });

  test('a worker that crashes is started again, and forwarding goes on', async (t) => {
    const filter = await Filter.start(lab, { mode: 'enforce', env: { SWARMGATE_TEST_FAULTS: '1' } });
    const ping = new Ping(lab);
    const transfer = download(lab, slowUrl('http'));
    await sleep(500);
    assert.match(await filter.request({ verb: 'worker-crash', worker: 0 }), /"ok":true/);
    const restarted = async (): Promise<boolean> => {
      const worker = (await filter.status()).workers[0]!;
      return worker.restarts === 1 && worker.state === 'running';
    };
    await until(restarted, 15, () => `a restarted worker\n${filter.process.tail()}`);
    await transfer;
    await download(lab, webUrl('http'));
    few(t, await ping.end(), lostMost, filter);
    assert.match(filter.process.output, /swarmgate: (error|warn): .*worker/);
    await blocks(filter);
    await filter.stop();
  });

  test('worker-crash is no verb outside of tests', async () => {
    const filter = await Filter.start(lab, { mode: 'monitor' });
    assert.match(await filter.request({ verb: 'worker-crash', worker: 0 }), /"ok":false/);
    assert.equal((await filter.status()).workers[0]!.restarts, 0);
    await filter.stop();
  });

  test('SIGSTOP: once the queue is full traffic goes on; SIGCONT: it is filtered again', async (t) => {
    const filter = await Filter.start(lab, {
      mode: 'enforce',
      workers: 1,
      config: 'queue: { length: 64 }\n',
    });
    await download(lab, webUrl('http'));
    filter.process.signal('SIGSTOP');
    await startFlood(lab, 1000, 1).succeeds(10);
    const ping = new Ping(lab);
    await download(lab, webUrl('http'), ['--max-time', '10']);
    await download(lab, webUrl('https', 6), ['--max-time', '10']);
    await sleep(1000);
    few(t, await ping.end(), 0, filter);
    filter.process.signal('SIGCONT');
    await blocks(filter);
    const { uninspected } = (await filter.status()).workers[0]!;
    t.diagnostic(`${uninspected!} packets went past the queue`);
    assert.ok(uninspected! > 500, 'a full queue is seen, and its packets are counted');
    await filter.stop();
  });

  test('a flood of new flows beyond what the queue holds does not harm the others', async (t) => {
    const filter = await Filter.start(lab, {
      mode: 'enforce',
      workers: 1,
      config: 'queue: { length: 32 }\n',
    });
    const ping = new Ping(lab);
    const flood = startFlood(lab, 10_000, 4);
    await download(lab, webUrl('http'));
    t.diagnostic((await flood.succeeds(20)).trim());
    // The machine itself may drop a few under such a load.
    few(t, await ping.end(), 10, filter);
    assert.equal(filter.process.exit, null);
    assert.ok((await filter.status()).packets > 1000);
    await blocks(filter);
    await filter.stop();
  });

  test('rules that somebody else flushes are noticed and written again', async (t) => {
    const filter = await Filter.start(lab, { mode: 'enforce' });
    const installed = savedRules(lab);
    const ping = new Ping(lab);
    for (const command of ['iptables', 'ip6tables']) {
      lab.runNow('router', [command, '-t', 'mangle', '-F']);
      lab.runNow('router', [command, '-F']);
    }
    lab.runNow('router', ['nft', 'flush', 'ruleset']);
    assert.notEqual(savedRules(lab), installed);
    const restored = async (): Promise<boolean> => (await filter.status()).rules.restored > 0;
    await until(restored, 30, () => `restored rules\n${filter.process.tail()}`);
    assert.equal((await filter.status()).rules.state, 'intact');
    few(t, await ping.end(), 1, filter);
    assert.match(filter.process.output, /swarmgate: (warn|error): .*rules/i);
    await blocks(filter);
    await filter.stop();
    assert.doesNotMatch(savedRules(lab), /swarmgate/i);
  });

  test('reload: a good file is taken over, a bad one is refused and the old one stays', async (t) => {
    const filter = await Filter.start(lab, { mode: 'enforce', config: 'log: { level: info }\n' });
    await blocks(filter);
    const ping = new Ping(lab);
    lab.write(relative(lab, filter.configFile), 'allow: { networks: [198.18.0.0/15] }\n');
    filter.process.signal('SIGHUP');
    await sleep(2000);
    assert.equal(await torrents.blocksWithin(30), torrents.blocks, `allowed now\n${filter.process.tail()}`);
    lab.write(relative(lab, filter.configFile), 'allow: { netwroks: [] }\n');
    filter.process.signal('SIGHUP');
    await filter.process.outputs('the old configuration is kept', 10);
    assert.match(filter.process.output, /netwroks/);
    assert.equal(await torrents.blocksWithin(30), torrents.blocks, `still allowed\n${filter.process.tail()}`);
    lab.write(relative(lab, filter.configFile), 'log: { level: info }\n');
    filter.process.signal('SIGHUP');
    await sleep(2000);
    few(t, await ping.end(), 1, filter);
    await blocks(filter);
    await filter.stop();
  });

  test('stop during traffic: nothing is lost, exit 0, and the rules are as before', async (t) => {
    const filter = await Filter.start(lab, { mode: 'enforce' });
    assert.notEqual(savedRules(lab), rulesBefore, 'the filter has rules');
    const ping = new Ping(lab);
    const transfers = [download(lab, slowUrl('http')), download(lab, slowUrl('https', 6))];
    await sleep(1000);
    assert.deepEqual(await filter.stop(), { code: 0, signal: null });
    assert.equal(savedRules(lab), rulesBefore);
    await Promise.all(transfers);
    few(t, await ping.end(), 0, filter);
  });

  for (const [same, words, problem] of [
    ['queue', ['--instance', 'second'], /queue/],
    ['name', ['--queue', '9700'], /already|running|in use/],
  ] as const) {
    test(`a second filter with the same ${same} says so and harms nothing`, async () => {
      const filter = await Filter.start(lab, { mode: 'enforce' });
      const installed = savedRules(lab);
      const second = Filter.spawn(lab, { mode: 'monitor', words });
      const exit = await second.process.ends(20);
      assert.ok(exit.code !== null && ![0, 70].includes(exit.code), second.process.tail());
      assert.match(second.process.output, problem);
      assert.doesNotMatch(second.process.output, /^\s+at /m, 'a message, not a stack');
      assert.equal(savedRules(lab), installed);
      await blocks(filter);
      await filter.stop();
      assert.equal(savedRules(lab), rulesBefore);
    });
  }
});

function relative(lab: Lab, path: string): string {
  return path.slice(lab.folder.length + 1);
}
