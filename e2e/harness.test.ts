/** The lab itself, without the filter: its tests must see both that traffic passes and that it does not. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryPath } from '../lib/testing.js';
import { startBenign, startWeb, download, webUrl } from './benign.js';
import { savedRules, standIn } from './filter.js';
import { Lab, removeLeftovers } from './lab.js';
import { Running, limited, until } from './process.js';
import { withoutLab } from './requirements.js';
import { prepare, scenarios, startTransfer } from './scenarios.js';

const labsOf = (pid: number): string[] =>
  spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.startsWith(`sge2e-${pid}-`));

describe('lab', { skip: withoutLab, timeout: 120_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.create();
  });
  after(async () => {
    await lab.close();
  });

  test('a filter that drops everything is seen: not one block, no download', async () => {
    await startWeb(lab);
    await download(lab, webUrl('http'));
    const before = savedRules(lab);
    standIn(lab);
    assert.notEqual(savedRules(lab), before, 'savedRules sees a rule');
    const chosen = scenarios.filter(({ client, way }) => client === 'libtorrent' && way === 'peer');
    const transfers = [];
    for (const each of prepare(lab, chosen, 1024 * 1024)) transfers.push(await startTransfer(lab, each, 0));
    await assert.rejects(download(lab, webUrl('http'), ['--connect-timeout', '2']));
    await sleep(2000);
    for (const transfer of transfers) assert.equal(transfer.leecher.blocks(), 0, transfer.tails());
    for (const command of ['iptables', 'ip6tables']) lab.runNow('router', [command, '-F', 'FORWARD']);
    for (const transfer of transfers) {
      await until(
        () => transfer.leecher.complete(),
        30,
        () => `completion of ${transfer.tails()}`,
      );
      await transfer.stop();
    }
  });

  test('the ordinary programs work without a filter', async () => {
    const other = await Lab.create();
    try {
      const runs = await startBenign(other);
      assert.ok(runs.length > 10);
      await limited(
        3,
        runs.map((each) => () => each.run()),
      );
    } finally {
      await other.close();
    }
  });

  test('a run that is killed leaves nothing behind after the next', async () => {
    const holder = new Running([process.execPath, repositoryPath('dist', 'e2e', 'tools', 'hold-lab.js')]);
    await holder.outputs('holding ');
    const folder = /holding (\S+)/.exec(holder.output)![1]!;
    assert.equal(labsOf(holder.pid).length, 3);
    holder.signal('SIGKILL');
    await holder.exited;
    removeLeftovers();
    assert.deepEqual(labsOf(holder.pid), []);
    assert.ok(!existsSync(folder), folder);
    assert.equal(labsOf(process.pid).length, 3, 'labs of living runs stay');
  });

  test('an interrupted run removes its lab', async () => {
    const holder = new Running([process.execPath, repositoryPath('dist', 'e2e', 'tools', 'hold-lab.js')]);
    await holder.outputs('holding ');
    holder.signal('SIGINT');
    assert.equal((await holder.ends(10)).signal, 'SIGINT');
    assert.deepEqual(labsOf(holder.pid), []);
  });
});
