/** Plans: what must hold of every one, and what odd machines get. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { hintsOf } from './hints.js';
import type { NetworkInterface } from './interfaces.js';
import { makePlan, type Plan, type PlanSettings } from './plan.js';
import { pairsHighest, sharesOf, takes } from './shares.js';
import { fixtureText, makeTree } from './testing.js';
import { readTopology, type Topology } from './topology.js';
import { automaticWorkers, processorsProblem, workersFor, type Machine } from './workers.js';

const settings: PlanSettings = {
  queueFirst: 9600,
  batch: 64,
  markMask: 0x7000_0000,
  interfaces: [],
  uplinks: [],
  workers: null,
};

function machine(name: string): Topology {
  const root = makeTree(fixtureText(name));
  try {
    return readTopology(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const anInterface = (
  name: string,
  node: number | null,
  changes: Partial<NetworkInterface> = {},
): NetworkInterface => ({
  ...{ name, node, physical: true, receiveQueues: [0], transmitQueues: [0], up: true },
  ...{ lower: [], portOf: null, interrupts: [] },
  ...changes,
});

/** Nodes with four processors in two cores each. */
function topology(nodes: number, interfaces: readonly NetworkInterface[]): Topology {
  const ids = Array.from({ length: nodes }, (_, id) => id);
  return {
    isArm: false,
    nodes: ids.map((id) => ({ id, memoryBytes: 2 ** 30, distances: new Map() })),
    processors: ids.flatMap((node) =>
      [0, 1, 2, 3].map((n) => ({
        id: 4 * node + n,
        node,
        core: 4 * node + (n >> 1),
        kind: 'performance' as const,
      })),
    ),
    interfaces,
    problems: [],
  };
}

const names = (plan: Plan): string[] => plan.instances.map(({ name }) => name);

/** Every packet belongs to one instance, both directions of a flow to the same. */
function assertShared(plan: Plan, all: readonly string[]): void {
  const owners = (a: string | null, b: string | null): number[] =>
    plan.instances.flatMap(({ share }, index) => (takes(share, a, b) ? [index] : []));
  for (const a of [...all, null])
    for (const b of all) {
      const forth = owners(a, b);
      assert.equal(forth.length, 1, `${a} to ${b}: ${forth.join()}`);
      assert.deepEqual(owners(b, a), forth);
    }
}

test('four interfaces on two nodes: either node has half of what goes between them', () => {
  const plan = makePlan(machine('epyc-2-nodes'), settings);
  assert.deepEqual(
    plan.instances.map(({ share }) => share.pairs.length),
    [2, 2],
  );
  assertShared(plan, ['enp65s0f0', 'enp65s0f1', 'enp193s0f0', 'enp193s0f1', 'wg0', 'ppp0']);
  // What stays within a node, or goes between it and a tunnel, is that node's.
  const [first, second] = plan.instances;
  assert.ok(takes(second!.share, 'enp193s0f0', 'enp193s0f1') && takes(second!.share, 'wg0', 'enp193s0f0'));
  assert.ok(takes(first!.share, 'enp65s0f0', 'wg0') && takes(first!.share, 'wg0', 'ppp0'));
});

test('with uplinks known, all that a LAN sends by any of them is for one instance', () => {
  const given = topology(2, [
    ...['lan0', 'lan1', 'lan2'].map((name) => anInterface(name, 0)),
    ...['up0', 'up1', 'lan3', 'lan4'].map((name) => anInterface(name, 1)),
  ]);
  const plan = makePlan(given, { ...settings, uplinks: ['up0', 'up1'] });
  const owner = (a: string, b: string): string =>
    plan.instances.find(({ share }) => takes(share, a, b))!.name;
  for (const lan of ['lan0', 'lan1', 'lan2']) assert.equal(owner(lan, 'up0'), owner('up1', lan), lan);
  assert.notEqual(owner('lan0', 'up0'), owner('lan1', 'up0'), 'both are busy');
  assertShared(plan, [...given.interfaces.map(({ name }) => name), 'ppp0']);
  const turned = topology(2, [anInterface('up0', 0), anInterface('up1', 0), anInterface('lan0', 1)]);
  const other = makePlan(turned, { ...settings, uplinks: ['up0', 'up1'] });
  assert.deepEqual(
    other.instances.map(({ share }) => share.pairs.length),
    [0, 2],
  );
});

test('uplinks on several nodes or on none: what a LAN sends by any of them is still for one instance', () => {
  const given = topology(3, [
    ...['lan0', 'lan1', 'up0'].map((name) => anInterface(name, 0)),
    ...['lan2', 'lan3', 'up1'].map((name) => anInterface(name, 1)),
    ...['lan4', 'lan5'].map((name) => anInterface(name, 2)),
  ]);
  for (const uplinks of [['up0', 'up1'], ['up0', 'ppp0'], ['up0', 'up1', 'ppp0'], ['up1']]) {
    const plan = makePlan(given, { ...settings, uplinks });
    for (const lan of ['lan0', 'lan1', 'lan2', 'lan3', 'lan4', 'lan5']) {
      const owners = uplinks.flatMap((up) => plan.instances.filter(({ share }) => takes(share, lan, up)));
      assert.equal(new Set(owners).size, 1, `${lan} by ${uplinks.join()}`);
    }
    assertShared(plan, [...given.interfaces.map(({ name }) => name), 'ppp0']);
  }
});

test('a misspelt uplink is said, and so is one that comes later', () => {
  const given = topology(2, [anInterface('lan0', 0), anInterface('up0', 1)]);
  const { notes } = makePlan(given, { ...settings, uplinks: ['up0', 'pu0', 'ppp0'] });
  assert.ok(notes.includes('not there now: pu0, ppp0 (uplinks)'), notes.join());
  assert.ok(
    !makePlan(given, { ...settings, uplinks: ['up0'] })
      .notes.join()
      .includes('not there'),
  );
});

test('too many pairs: the later node has them all, and every packet still has one owner', () => {
  const many = Array.from({ length: 9 }, (_, i) => [anInterface(`a${i}`, 0), anInterface(`b${i}`, 1)]).flat();
  assert.ok(9 * 9 > pairsHighest);
  const plan = makePlan(topology(2, many), settings);
  assert.ok(plan.instances.every(({ share }) => share.pairs.length === 0));
  assertShared(plan, [...many.map(({ name }) => name), 'tun0']);
  assert.match(plan.notes.join('\n'), /too many pairs/);
});

test('which nodes get an instance', () => {
  const cases: readonly [string, Topology, string[], RegExp][] = [
    ['without interfaces', topology(2, [anInterface('a', 1)]), ['node1'], /node 0 has no network interface/],
    [
      'all down',
      topology(2, [anInterface('a', 0), anInterface('b', 1, { up: false })]),
      ['node0'],
      /node 1: b down/,
    ],
    [
      'everything down',
      topology(2, [anInterface('a', 0, { up: false }), anInterface('b', 1, { up: false })]),
      ['node0', 'node1'],
      /tunnels/,
    ],
    [
      'nobody says where',
      topology(2, [anInterface('a', null)]),
      ['node0'],
      /no network interface says on which node/,
    ],
    ['no interface', topology(3, []), ['node0'], /no network interface says/],
  ];
  for (const [what, given, expected, note] of cases) {
    const plan = makePlan(given, settings);
    assert.deepEqual(names(plan), expected, what);
    assert.match(plan.notes.join('\n'), note, what);
  }
  const alone = {
    ...topology(2, [anInterface('a', 0), anInterface('b', 1)]),
    processors: topology(1, []).processors,
  };
  assert.deepEqual(names(makePlan(alone, settings)), ['node0'], 'a node without processors');
  assert.match(makePlan(alone, settings).notes.join(), /node 1 has b but no processor/);
});

test('the ports of a bond are not named, the bond is; the own list of the administrator holds', () => {
  const given = topology(2, [
    anInterface('a', 0, { portOf: 'bond0' }),
    anInterface('bond0', 0, { physical: false, lower: ['a'] }),
    anInterface('b', 1),
    anInterface('c', 1),
  ]);
  const plan = makePlan(given, settings);
  assert.deepEqual(
    plan.instances.map(({ interfaces }) => interfaces),
    [['bond0'], ['b', 'c']],
  );
  const named = makePlan(given, { ...settings, interfaces: ['bond0', 'b', 'ppp9'] });
  assert.deepEqual(
    named.instances.map(({ share }) => share.interfaces),
    [['bond0', 'b', 'ppp9'], ['b']],
  );
  assert.match(named.notes.join(), /not there now: ppp9/);
  assertShared(named, ['bond0', 'b']);
  assert.ok(!named.instances.some(({ share }) => takes(share, 'c', 'x')));
});

test('a node without memory uses that of the nearest', () => {
  const given = topology(3, [anInterface('a', 0), anInterface('b', 1), anInterface('c', 2)]);
  const nodes = given.nodes.map((node) =>
    node.id === 1
      ? {
          ...node,
          memoryBytes: 0,
          distances: new Map([
            [0, 32],
            [1, 10],
            [2, 12],
          ]),
        }
      : node,
  );
  const plan = makePlan({ ...given, nodes }, settings);
  assert.deepEqual(
    plan.instances.map(({ memoryNodes }) => memoryNodes),
    [[0], [2], [2]],
  );
});

test('workers: 2 x the cores, 4 x on Arm, large cores only, never above 256', () => {
  const workers = (name: string): number[] =>
    makePlan(machine(name), settings).instances.map((each) => each.workers);
  assert.deepEqual(['ryzen-8-cores', 'i9-13900k', 'epyc-2-nodes', 'graviton2'].map(workers), [
    [16],
    [16],
    [32, 32],
    [256],
  ]);
  assert.deepEqual([workersFor(0, false), workersFor(1, true), workersFor(1000, false)], [1, 4, 256]);
  assert.equal(makePlan(machine('graviton2'), { ...settings, workers: 7 }).instances[0]!.workers, 7);
});

test('automatic workers count what this process may use', () => {
  const topologyOf = machine('i9-13900k');
  const here = (permitted: readonly number[], parallelism = permitted.length): Machine => ({
    ...{ topology: topologyOf, permitted: new Set(permitted), parallelism },
  });
  const all = topologyOf.processors.map(({ id }) => id);
  assert.equal(automaticWorkers(null, here(all)), 16);
  assert.equal(automaticWorkers(null, here([0, 1, 2, 3])), 4, 'two cores with two siblings each');
  assert.equal(automaticWorkers(null, here([16, 17, 18])), 6, 'only small cores');
  assert.equal(automaticWorkers([0, 1, 16, 17], here(all)), 2, 'one large core of those named');
  assert.equal(automaticWorkers(null, here(all, 3)), 6, 'limited otherwise');
  assert.equal(processorsProblem([0, 31], here(all)), null);
  assert.match(processorsProblem([40, 41], here(all))!, /no processor 40-41 is online .* 0-31/);
  assert.match(processorsProblem([0, 9], here([0, 1]))!, /may not use processor 9, only 0-1/);
});

test('hints: interrupts and queues of each interface on the processors of its instance', () => {
  const epyc = machine('epyc-2-nodes');
  const lines = hintsOf(epyc, makePlan(epyc, settings));
  assert.ok(
    lines.includes('for irq in $(seq 420 452); do echo 16-31,48-63 > /proc/irq/$irq/smp_affinity_list; done'),
  );
  assert.ok(!lines.some((line) => line.includes('rps_cpus')), 'as many queues as cores');
  const intel = machine('i9-13900k');
  const few = hintsOf(intel, makePlan(intel, settings));
  assert.ok(
    few.includes('for queue in /sys/class/net/enp5s0/queues/rx-*; do echo ffff > $queue/rps_cpus; done'),
  );
});

const anyTopology = fc
  .record({
    nodes: fc.integer({ min: 1, max: 14 }),
    interfaces: fc.array(
      fc.record({
        node: fc.option(fc.integer({ min: 0, max: 13 })),
        up: fc.option(fc.boolean()),
        physical: fc.boolean(),
        isPort: fc.boolean(),
      }),
      { maxLength: 24 },
    ),
    processors: fc.uniqueArray(
      fc.record({
        id: fc.integer({ min: 0, max: 400 }),
        node: fc.integer({ min: 0, max: 13 }),
        kind: fc.constantFrom('performance' as const, 'efficiency' as const),
      }),
      { selector: ({ id }) => id, minLength: 1, maxLength: 300 },
    ),
    isArm: fc.boolean(),
    memory: fc.array(fc.constantFrom(0, null, 2 ** 34), { minLength: 14, maxLength: 14 }),
  })
  .map(({ nodes, interfaces, processors, isArm, memory }): Topology => ({
    isArm,
    nodes: Array.from({ length: nodes }, (_, id) => ({ id, memoryBytes: memory[id]!, distances: new Map() })),
    processors: processors.map((each) => ({ ...each, node: each.node % nodes, core: each.id })),
    interfaces: interfaces.map(({ node, up, physical, isPort }, index) =>
      anInterface(`if${index}`, node === null ? null : node % nodes, {
        up,
        physical,
        portOf: isPort ? 'br0' : null,
      }),
    ),
    problems: [],
  }));

test('property: what holds of every plan', () => {
  fc.assert(
    fc.property(anyTopology, fc.integer({ min: 0, max: 65_000 }), (given, queueFirst) => {
      const { instances } = makePlan(given, { ...settings, queueFirst });
      assert.ok(instances.length >= 1);
      const queues = instances.map((each) => [each.queueFirst, each.queueFirst + each.workers - 1] as const);
      for (const [index, [first, last]] of queues.entries()) {
        if (index > 0) assert.ok(first > queues[index - 1]![1]);
        if (instances.length > 1) assert.ok(last <= 65_535);
      }
      const data = instances.flatMap(({ dataProcessors }) => dataProcessors);
      assert.equal(new Set(data).size, data.length, 'no processor in two lists');
      for (const { workers, dataProcessors, controlProcessors, markMask } of instances) {
        assert.ok(workers >= 1 && workers <= 256);
        assert.ok(dataProcessors.length > 0 && controlProcessors.length > 0);
        const sharing = instances.filter((other) => (other.markMask & markMask) !== 0);
        assert.equal(sharing.length, 1, 'mark fields are disjoint');
      }
      assertShared({ instances, notes: [] }, [...given.interfaces.map(({ name }) => name), 'other']);
    }),
    { numRuns: 300 },
  );
});

test('property: any groups share the traffic out', () => {
  const sizesOf = fc.tuple(
    fc.integer({ min: 0, max: 9 }),
    fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 4 }),
  );
  fc.assert(
    fc.property(
      sizesOf,
      fc.array(fc.constantFrom('g0i0', 'g0i1', 'g1i0', 'g1i1', 'g2i0')),
      ([first, others], uplinks) => {
        const all = [first, ...others].map((size, group) =>
          Array.from({ length: size }, (_, i) => `g${group}i${i}`),
        );
        const shares = sharesOf(all, uplinks);
        const owners = (a: string, b: string): number => shares.filter((share) => takes(share, a, b)).length;
        for (const a of [...all.flat(), 'x'])
          for (const b of [...all.flat(), 'y']) assert.equal(owners(a, b), 1);
      },
    ),
  );
});
