/** Machines as /sys shows them: the recorded ones, odd ones, and this one. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { fixtureText, machines, makeTree } from './testing.js';
import { readTopology, type Topology } from './topology.js';
import { coreCount } from './workers.js';

const made: string[] = [];
after(() => {
  for (const root of made) rmSync(root, { recursive: true });
});
function tree(text: string): string {
  const root = makeTree(text);
  made.push(root);
  return root;
}
const topologyOf = (text: string): Topology => readTopology(tree(text));

test('the recorded machines: cores, kinds, nodes, interfaces', () => {
  const seen = machines.map((name) => {
    const { processors, nodes, interfaces, isArm, problems } = topologyOf(fixtureText(name));
    assert.deepEqual(problems, [], name);
    const small = processors.filter(({ kind }) => kind === 'efficiency').length;
    return [name, nodes.length, processors.length, small, coreCount(processors), interfaces.length, isArm];
  });
  assert.deepEqual(seen, [
    ['ryzen-8-cores', 1, 16, 0, 8, 4, false],
    ['i9-13900k', 1, 32, 16, 8, 2, false],
    ['epyc-2-nodes', 2, 64, 0, 32, 5, false],
    ['graviton2', 1, 64, 0, 64, 1, true],
  ]);
});

test('an interface: node, queues, interrupts, state; loopback is none', () => {
  const { interfaces } = topologyOf(fixtureText('epyc-2-nodes'));
  const found = interfaces.find(({ name }) => name === 'enp193s0f1')!;
  assert.deepEqual([found.node, found.physical, found.up, found.portOf], [1, true, true, null]);
  assert.deepEqual(
    [found.receiveQueues.length, found.transmitQueues.length, found.interrupts.length],
    [32, 32, 33],
  );
  assert.ok(!interfaces.some(({ name }) => name === 'lo'));
});

const twoNodes = `
devices/system/cpu/online = 0-3
devices/system/node/node0/cpulist = 0-1
devices/system/node/node1/cpulist = 2-3
`;
const nic = (name: string, node: number): string => `
devices/pci/${name}/numa_node = ${node}
devices/pci/${name}/net/${name}/operstate = up
devices/pci/${name}/net/${name}/device -> devices/pci/${name}
class/net/${name} -> devices/pci/${name}/net/${name}
`;
const virtual = (name: string, ...links: string[]): string =>
  [
    `devices/virtual/net/${name}/operstate = up`,
    ...links,
    `class/net/${name} -> devices/virtual/net/${name}`,
    '',
  ].join('\n');

test('a VLAN is on the node of its hardware, a bond over two nodes on none, a port knows its bond', () => {
  const { interfaces, problems } = topologyOf(
    twoNodes +
      nic('eth0', 0) +
      nic('eth1', 1) +
      nic('eth2', 1) +
      virtual('eth1.7', 'devices/virtual/net/eth1.7/lower_eth1 -> devices/pci/eth1/net/eth1') +
      virtual(
        'bond0',
        'devices/virtual/net/bond0/bonding/mode = 802.3ad 4',
        'devices/virtual/net/bond0/lower_eth0 -> devices/pci/eth0/net/eth0',
        'devices/virtual/net/bond0/lower_eth2 -> devices/pci/eth2/net/eth2',
        'devices/pci/eth0/net/eth0/master -> devices/virtual/net/bond0',
      ) +
      virtual('bond0.9', 'devices/virtual/net/bond0.9/lower_bond0 -> devices/virtual/net/bond0') +
      virtual('wg0'),
  );
  assert.deepEqual(
    interfaces.map(({ name, node, portOf }) => [name, node, portOf]),
    [
      ['bond0', null, null],
      ['bond0.9', null, null],
      ['eth0', 0, 'bond0'],
      ['eth1', 1, null],
      ['eth1.7', 1, null],
      ['eth2', 1, null],
      ['wg0', null, null],
    ],
  );
  assert.match(problems.join('\n'), /bond0 is carried by hardware of several nodes/);
});

test('a virtio interface has the node and the interrupts of the PCI device below', () => {
  const { interfaces } = topologyOf(
    `${twoNodes}
devices/pci/0000:00:03.0/numa_node = 1
devices/pci/0000:00:03.0/msi_irqs/{24-26} = msix
devices/pci/0000:00:03.0/virtio2/features = 0
devices/pci/0000:00:03.0/virtio2/net/eth0/operstate = up
devices/pci/0000:00:03.0/virtio2/net/eth0/device -> devices/pci/0000:00:03.0/virtio2
class/net/eth0 -> devices/pci/0000:00:03.0/virtio2/net/eth0`,
  );
  assert.deepEqual([interfaces[0]!.node, interfaces[0]!.interrupts], [1, [24, 25, 26]]);
});

test("the small cores of Arm's big.LITTLE are told by their capacity", () => {
  const { processors } = topologyOf(`
devices/system/cpu/online = 0-3
devices/system/cpu/cpu{0-1}/cpu_capacity = 381
devices/system/cpu/cpu{2-3}/cpu_capacity = 1024`);
  assert.deepEqual(
    processors.map(({ kind }) => kind),
    ['efficiency', 'efficiency', 'performance', 'performance'],
  );
});

test('odd trees: each is read, and what is odd is said', () => {
  const odd: readonly [string, string, RegExp][] = [
    ['nothing at all', '', /no processor is listed.*no nodes.*no network interface/s],
    ['no node folder', 'devices/system/cpu/online = 0-1', /lists no nodes: the machine counts as one/],
    [
      'a list that is none',
      'devices/system/cpu/online = all\ndevices/system/cpu/cpu{0-1}/online = 1',
      /cpu0, cpu1 \.\.\. are counted/,
    ],
    [
      'a node without processors',
      `${twoNodes}devices/system/node/node2/cpulist = `,
      /node 2 has no processor that is online/,
    ],
    [
      'a node without memory',
      `${twoNodes}devices/system/node/node1/meminfo = Node 1 MemTotal: 0 kB`,
      /node 1 has no memory/,
    ],
    [
      'a processor that was taken out',
      twoNodes.replace('online = 0-3', 'online = 0-1'),
      /node 1 has no processor that is online/,
    ],
    [
      'a processor of no node',
      twoNodes.replace('online = 0-3', 'online = 0-5'),
      /processors 4-5 belong to no node: they count to node 0/,
    ],
    [
      'an unreadable cpulist',
      `${twoNodes}devices/system/node/node2/cpulist = 4-x`,
      /node 2: cpulist cannot be read/,
    ],
    [
      'a node that is not there',
      twoNodes + nic('eth0', 7),
      /eth0 is said to be on node 7, which is not there/,
    ],
  ];
  for (const [what, text, expected] of odd) {
    const { problems, processors, nodes } = topologyOf(text);
    assert.match(problems.join('\n'), expected, what);
    assert.ok(processors.length > 0 && nodes.length > 0, what);
  }
  assert.equal(readTopology('/nonexistent').processors.length, 1);
});

test('an interface whose name no rule and no command can hold is passed over, and named', () => {
  const names = ['$(reboot)', 'a;reboot', "it's", 'a b', '-x', 'eth0*', 'new\nline', 'sixteen-is-too-m'];
  const { interfaces, problems } = topologyOf(twoNodes + nic('eth0.7', 0));
  assert.deepEqual([interfaces.map(({ name }) => name), problems], [['eth0.7'], []]);
  const root = tree(twoNodes + nic('eth0.7', 0));
  for (const name of names) {
    mkdirSync(join(root, 'class/net', name, 'device'), { recursive: true });
    writeFileSync(join(root, 'class/net', name, 'device/numa_node'), '1');
  }
  const odd = readTopology(root);
  assert.deepEqual(
    odd.interfaces.map(({ name }) => name),
    ['eth0.7'],
  );
  assert.match(odd.problems.join('\n'), /"\$\(reboot\)".*passed over/);
  assert.equal(odd.problems.length, names.length);
});

test('pipes and devices in a tree: nothing is waited for, nothing is read without end', () => {
  const root = tree(`${twoNodes}${nic('eth0', 1)}devices/system/node/node0/meminfo -> zero`);
  rmSync(join(root, 'devices/system/cpu/online'));
  execFileSync('mkfifo', [join(root, 'devices/system/cpu/online')]);
  symlinkSync('/dev/zero', join(root, 'devices/system/node/zero'));
  const script = `import(process.argv[1]).then(({ readTopology }) => console.log(readTopology(process.argv[2]).nodes.length))`;
  const module = new URL('topology.js', import.meta.url).href;
  const words = ['-e', script, module, root];
  assert.equal(execFileSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 }), '2\n');
});

test('cores of a third kind, as Arrow Lake has them (cpu_lowpower, Linux 6.13), are small ones', () => {
  const { processors } = topologyOf(`
devices/system/cpu/online = 0-7
devices/cpu_core/cpus = 0-1
devices/cpu_atom/cpus = 2-5
devices/cpu_lowpower/cpus = 6-7
`);
  const large = processors.filter(({ kind }) => kind === 'performance').map(({ id }) => id);
  assert.deepEqual(large, [0, 1]);
  assert.equal(coreCount(processors), 2);
});

test('a core of which one sibling was taken out counts once', () => {
  const { processors } = topologyOf(`
devices/system/cpu/online = 0-2
devices/system/cpu/cpu{0,2}/topology/core_cpus_list = 0,2
devices/system/cpu/cpu1/topology/thread_siblings_list = 1,3`);
  assert.deepEqual(
    processors.map(({ core }) => core),
    [0, 1, 0],
  );
});

test('property: no content of the files makes it throw', () => {
  const content = fc.oneof(
    fc.stringMatching(/^[0-9,x -]{0,8}$/),
    fc.constantFrom('-1', '0-1', '9999999999', 'Node 0 MemTotal: x kB'),
  );
  const paths = [
    ...['online', 'cpu0/online', 'cpu0/topology/core_cpus_list', 'cpu0/cpu_capacity'].map(
      (path) => `devices/system/cpu/${path}`,
    ),
    ...['cpulist', 'meminfo', 'distance'].map((path) => `devices/system/node/node1/${path}`),
    ...['devices/cpu_core/cpus', 'devices/cpu_atom/cpus', 'class/net/a/type', 'class/net/a/operstate'],
    ...[
      'class/net/a/device/numa_node',
      'class/net/a/queues/rx-7',
      'class/net/b',
      'class/net/a/lower_a/x',
      'class/net/a/device/irq',
    ],
  ];
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...paths), content), { maxLength: 12 }), (files) => {
      const text = [...new Map(files)].map(([path, value]) => `${path} = ${value}`).join('\n');
      const { processors, nodes } = topologyOf(text);
      for (const { node, core } of processors) {
        assert.ok(nodes.some(({ id }) => id === node));
        assert.ok(processors.some(({ id }) => id === core));
      }
    }),
    { numRuns: 60 },
  );
});

test('this machine', { skip: process.platform !== 'linux' && 'needs Linux' }, () => {
  const { processors, interfaces } = readTopology();
  assert.ok(processors.length > 0);
  const names = readdirSync('/sys/class/net');
  for (const { name } of interfaces) assert.ok(names.includes(name));
});
