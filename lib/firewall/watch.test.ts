/** The watch over the rules: mends at once, does not fight for ever, tells the operator. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FirewallError, type Firewall, type RulesReport } from './firewall.js';
import { ruleSet } from './testing.js';
import { RulesWatch, watchFightsMax, watchPauseMillisMax, watchPeaceMillis, watchRules } from './watch.js';

const intact: RulesReport = { state: 'intact', problems: [] };
const damaged: RulesReport = { state: 'damaged', problems: ['gone'] };

function fake(reports: () => RulesReport): Firewall & { installs: number } {
  return {
    name: 'nft',
    pass: 'accept',
    notes: [],
    installs: 0,
    render: () => '',
    install() {
      this.installs++;
      return Promise.resolve();
    },
    drain: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    check: () => Promise.resolve(reports().state),
    examine: () => Promise.resolve(reports()),
    show: () => Promise.resolve(''),
  };
}

test('damage is mended at once, then ever more rarely, and told once; peace forgets', async () => {
  let state = damaged;
  let now = 0;
  const firewall = fake(() => state);
  const told: string[] = [];
  const options = {
    intervalMillis: 5000,
    onRestored: (problems: readonly string[]) => told.push(problems.join()),
    onProblem: (error: FirewallError) => told.push(error.code),
  };
  const watch = new RulesWatch(firewall, ruleSet(), options, () => now);
  const written: number[] = [];
  for (let seconds = 0; seconds <= 700; seconds += 5) {
    now = seconds * 1000;
    const before = firewall.installs;
    await watch.look();
    if (firewall.installs > before) written.push(seconds);
    assert.equal(watch.state, firewall.installs > before ? 'intact' : 'damaged');
    assert.equal(watch.pauseMillis, 5000);
  }
  assert.deepEqual(written, [0, 5, 15, 35, 75, 155, 315, 615]);
  assert.equal(watch.restorePauseMillis, watchPauseMillisMax);
  assert.equal(told.filter((word) => word === 'gone').length, written.length);
  assert.equal(told.indexOf('firewall-contested'), watchFightsMax);
  assert.equal(told.lastIndexOf('firewall-contested'), watchFightsMax);
  state = intact;
  now += watchPeaceMillis + 1;
  await watch.look();
  assert.equal(watch.restorePauseMillis, 0);
  await watch.stop();
});

test('an error is told and the watch goes on', async () => {
  const codes: string[] = [];
  const firewall = fake(() => {
    throw new Error('boom');
  });
  const watch = watchRules(firewall, ruleSet(), {
    intervalMillis: 1,
    onRestored: () => undefined,
    onProblem: (error) => codes.push(error.code),
  });
  const keepAlive = setInterval(() => undefined, 1000);
  while (codes.length < 3) await sleep(2);
  await watch.stop();
  clearInterval(keepAlive);
  const count = codes.length;
  await sleep(50);
  assert.equal(codes.length, count);
  assert.equal(codes[0], 'firewall-failed');
});

test('what was listed and is gone when it is to be replaced is listed again at once', async () => {
  const told: string[] = [];
  const firewall = fake(() => damaged);
  firewall.install = function install() {
    return ++this.installs === 1 ? Promise.reject(new Error('line 8 failed')) : Promise.resolve();
  };
  const options = {
    intervalMillis: 1000,
    onRestored: () => told.push('restored'),
    onProblem: (error: FirewallError) => told.push(error.code),
  };
  const watch = new RulesWatch(firewall, ruleSet(), options);
  await watch.look();
  await watch.stop();
  assert.deepEqual([told, watch.state, firewall.installs], [['restored'], 'intact', 2]);
});

test('the pause is told by how long looking took, not by mending, and has an end', async () => {
  let now = 0;
  let looking = 300;
  const firewall = fake(() => {
    now += looking;
    return damaged;
  });
  firewall.install = () => {
    now += 60_000;
    return Promise.resolve();
  };
  const nothing = (): undefined => undefined;
  const options = { intervalMillis: 2000, onRestored: nothing, onProblem: nothing };
  const watch = new RulesWatch(firewall, ruleSet(), options, () => now);
  await watch.look();
  assert.equal(watch.pauseMillis, 3000);
  looking = 8000;
  await watch.look();
  assert.equal(watch.pauseMillis, 20_000);
  await watch.stop();
});
