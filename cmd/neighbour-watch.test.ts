import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NeighbourWatch } from './neighbour-watch.js';

interface World {
  rules: string[];
  running: string[];
  readonly said: string[];
}

function watchOver(told: readonly string[] = []): { world: World; watch: NeighbourWatch } {
  const world: World = { rules: [], running: [], said: [] };
  const watch = new NeighbourWatch(
    {
      neighbours: () => Promise.resolve(world.rules.map((instance) => ({ instance, mask: 7 }))),
      runs: (instance) => world.running.includes(instance),
      onLeft: (instance) => world.said.push(instance),
    },
    told,
  );
  return { world, watch };
}

test('rules of an instance that was killed are told once, and again when it happens again', async () => {
  const { world, watch } = watchOver();
  Object.assign(world, { rules: ['b'], running: ['b'] });
  await watch.look();
  world.running = [];
  await watch.look();
  assert.deepEqual(world.said, [], 'it may be stopping');
  await watch.look();
  await watch.look();
  assert.deepEqual(world.said, ['b']);
  world.running = ['b'];
  await watch.look();
  world.running = [];
  await watch.look();
  await watch.look();
  assert.deepEqual(world.said, ['b', 'b']);
});

test('what was told at the start is not told again, and one that only starts is not told', async () => {
  const { world, watch } = watchOver(['a']);
  world.rules = ['a', 'b'];
  await watch.look();
  world.running = ['b'];
  await watch.look();
  assert.deepEqual(world.said, []);
});

test('a list that cannot be had changes nothing', async () => {
  let fails = false;
  const said: string[] = [];
  const watch = new NeighbourWatch(
    {
      neighbours: () =>
        fails ? Promise.reject(new Error('no tool')) : Promise.resolve([{ instance: 'b', mask: 7 }]),
      runs: () => false,
      onLeft: (instance) => said.push(instance),
    },
    [],
  );
  await watch.look();
  fails = true;
  await watch.look();
  fails = false;
  await watch.look();
  assert.deepEqual(said, ['b']);
});

test('nothing is told once it was stopped', async () => {
  const { world, watch } = watchOver();
  world.rules = ['b'];
  await watch.look();
  watch.stop();
  await watch.look();
  assert.deepEqual(world.said, []);
});
