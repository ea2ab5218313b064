/** Packets that wait in the queue while the rules of iptables change: not one may be lost. (nft: e2e/nft) */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseQueueStats } from '../lib/control/queue-stats.js';
import { IptablesFirewall } from '../lib/firewall/iptables.js';
import { ruleSet } from '../lib/firewall/testing.js';
import { Tools } from '../lib/firewall/tools.js';
import { Filter, savedRules } from './filter.js';
import { Lab } from './lab.js';
import { until, type Running } from './process.js';
import { withoutFilter } from './requirements.js';
import { startFlood, startListener } from './traffic.js';

describe('packets that wait in the queue', { skip: withoutFilter, timeout: 120_000 }, () => {
  let lab: Lab;
  let listener: Running;

  before(async () => {
    lab = await Lab.create();
    listener = await startListener(lab);
  });
  after(async () => {
    await lab.close();
  });
  afterEach(async () => {
    await Filter.stopAll();
  });

  const start = (): Promise<Filter> =>
    Filter.start(lab, { mode: 'enforce', workers: 1, words: ['--rules', 'iptables'] });

  function waiting(): number {
    const queues = parseQueueStats(lab.runNow('router', ['cat', '/proc/net/netfilter/nfnetlink_queue']));
    return [...queues.values()].reduce((sum, queue) => sum + queue.waiting, 0);
  }

  /** Datagrams that the server has received since it started. */
  async function datagrams(): Promise<number> {
    await sleep(300);
    const seen = listener.stdout.length;
    listener.signal('SIGUSR2');
    const match = (): RegExpExecArray | null => /datagrams (\d+)\n/.exec(listener.stdout.slice(seen));
    await until(() => match() !== null, 10, 'the count of the listener');
    return Number(match()![1]);
  }

  const sent = async (flood: Running): Promise<number> =>
    Number(/sent (\d+)/.exec(await flood.succeeds(20))![1]);

  test('survive draining and a new installation', async () => {
    const filter = await start();
    const firewall = new IptablesFirewall({
      tools: new Tools(['ip', 'netns', 'exec', lab.namespace('router')]),
    });
    for (const what of ['drain', 'install'] as const) {
      const before = await datagrams();
      filter.process.signal('SIGSTOP');
      const count = await sent(startFlood(lab, 200, 1));
      assert.ok(count > 20 && waiting() === count, `${count} sent, ${waiting()} wait`);
      if (what === 'drain') await firewall.drain('default');
      else await firewall.install(ruleSet({ queueFirst: 9600 }));
      assert.equal(waiting(), count, `${what}: they still wait`);
      filter.process.signal('SIGCONT');
      await until(() => waiting() === 0, 20, 'an empty queue');
      assert.equal((await datagrams()) - before, count, `${what}: all of them arrived`);
      await until(async () => (await filter.status()).rules.state === 'intact', 20, 'rules that stand');
      await sleep(2500);
    }
    await filter.stop();
  });

  test('survive a stop during traffic', async (t) => {
    const rules = savedRules(lab);
    for (let round = 0; round < 3; round++) {
      const filter = await start();
      const before = await datagrams();
      const flood = startFlood(lab, 3000, 3);
      await sleep(1200);
      await filter.stop();
      const count = await sent(flood);
      const arrived = (await datagrams()) - before;
      t.diagnostic(`${count} datagrams sent, ${arrived} arrived`);
      assert.equal(arrived, count);
    }
    assert.equal(savedRules(lab), rules);
  });
});
