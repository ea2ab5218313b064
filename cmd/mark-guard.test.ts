import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../lib/firewall/conflicts.js';
import { MarkGuard } from './mark-guard.js';
import { SlowWatch, slowWatchMillis } from './slow-watch.js';

const finding = (code: string, message: string): Finding => ({ code, level: 'warning', message, mend: null });

function guardOf(world: { found: Finding[]; nft: boolean }): {
  guard: MarkGuard;
  said: string[];
  done: string[];
} {
  const said: string[] = [];
  const done: string[] = [];
  const guard = new MarkGuard({
    conflicts: () => Promise.resolve(world.found),
    unmark: () => {
      done.push('unmark');
      return world.nft ? Promise.resolve() : Promise.reject(new Error('nft is not installed'));
    },
    place: 'a table',
    onFinding: (code, message) => said.push(`${code}: ${message}`),
  });
  return { guard, said, done };
}

test('nothing is done and said where nobody copies or compares marks', async () => {
  const { guard, said, done } = guardOf({ found: [], nft: true });
  await guard.look();
  assert.deepEqual([said, done], [[], []]);
});

test('copied marks are taken off, each look sees to it, and it is said once', async () => {
  const world = { found: [finding('mark-restored', 'r'), finding('mark-compared', 'c')], nft: true };
  const { guard, said, done } = guardOf(world);
  await guard.look();
  await guard.look();
  assert.deepEqual(said, [
    'mark-compared: c',
    'mark-unmarked: another program copies connection marks to packets: our bits are taken off before routing, by a table',
  ]);
  assert.equal(done.length, 2);
});

test('without nft the rule is named, with the reason; what comes later is told later, and not all of many', async () => {
  const world = { found: [finding('mark-restored', 'r')], nft: false };
  const { guard, said } = guardOf(world);
  await guard.look();
  await guard.look();
  assert.deepEqual(said, ['mark-restored: r (nft could not take them off: nft is not installed)']);
  world.found = ['1', '2', '3', '4', '5'].map((name) => finding('mark-compared', name));
  await guard.look();
  assert.deepEqual(said.slice(1), [
    ...['1', '2', '3'].map((name) => `mark-compared: ${name}`),
    'mark-conflicts: 2 more such rules: swarmgate doctor',
  ]);
});

test('a listing that fails is no reason to end', async () => {
  const guard = new MarkGuard({
    conflicts: () => Promise.reject(new Error('no')),
    unmark: () => Promise.resolve(),
    place: '',
    onFinding: () => assert.fail(),
  });
  await guard.look();
});

test('a slow watch looks each minute, and soon where something has changed', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let looks = 0;
  let during = (): void => undefined;
  const watch = new SlowWatch(() => {
    looks++;
    during();
    return Promise.resolve();
  });
  const tick = async (millis: number): Promise<number> => {
    t.mock.timers.tick(millis);
    await new Promise(setImmediate);
    return looks;
  };
  watch.start();
  assert.equal(await tick(slowWatchMillis - 1), 0);
  assert.equal(await tick(1), 1);
  watch.soon();
  assert.equal(await tick(2000), 2);
  assert.equal(await tick(15_000), 3, 'once more for who is slow');
  assert.equal(await tick(slowWatchMillis - 1), 3, 'then as before');
  during = () => {
    during = () => undefined;
    watch.soon();
  };
  assert.equal(await tick(1), 4);
  assert.equal(await tick(2000), 5, 'not lost while a look is under way');
  await watch.stop();
  watch.soon();
  assert.equal(await tick(2 * slowWatchMillis), 5);
});
