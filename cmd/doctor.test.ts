import assert from 'node:assert/strict';
import { test } from 'node:test';
import { combine } from '../lib/config/load.js';
import { readConfigText } from '../lib/config/yaml-file.js';
import { checkMachine } from './doctor-checks.js';
import { doctorText, withoutRepeats } from './doctor-report.js';
import { failure, fine, warning, type Finding, type Machine } from './doctor-machine.js';

/** A machine made of texts: files by path, tools by name. `null` takes one away. */
type Changes = Readonly<Record<string, string | null>>;

const healthy: Changes = {
  '/proc/self/status': 'Name:\tnode\nCapEff:\t000001ffffffffff\n',
  '/proc/net/netfilter/nfnetlink_queue': '',
  '/proc/sys/net/netfilter/nf_conntrack_max': '262144\n',
  '/proc/sys/net/netfilter/nf_conntrack_count': '12\n',
  '/proc/sys/net/ipv4/ip_forward': '1\n',
  '/proc/sys/net/ipv6/conf/all/forwarding': '1\n',
  '/proc/meminfo': 'MemTotal: 8000000 kB\nMemAvailable:    4000000 kB\n',
  '/run/swarmgate': '',
  nft: 'nftables v1.0.6\n',
  iptables: 'iptables v1.8.9\n',
  ip6tables: 'ip6tables v1.8.9\n',
  ip: 'ip utility\n',
};

const queueFile = '/proc/net/netfilter/nfnetlink_queue';

function machineWith(changes: Changes, readOnly: readonly string[] = []): Machine {
  const world = { ...healthy, ...changes };
  const at = (name: string): string | null => world[name] ?? null;
  return {
    nodeVersion: at('node') ?? '20.20.2',
    processors: 2,
    read: at,
    exists: (path) => at(path) !== null,
    holder: (instance) => (at(`holder of ${instance}`) === null ? null : Number(at(`holder of ${instance}`))),
    writable: (path) => !readOnly.includes(path),
    list: (path) =>
      Object.keys(world)
        .filter((name) => name.startsWith(`${path}/`))
        .map((name) => name.slice(path.length + 1).split('/')[0]!),
    wakeQueue: () => {
      if (at('queue module') !== null) world[queueFile] = '';
    },
    run: (tool) => Promise.resolve(at(tool)),
  };
}

async function complaints(changes: Changes, text = '', readOnly: readonly string[] = []): Promise<Finding[]> {
  const { config } = combine(readConfigText(text, 'f'), 'f', { env: {}, flags: new Map<string, string>() });
  const findings = await checkMachine(machineWith(changes, readOnly), config);
  return findings.filter(({ level }) => level !== 'ok');
}

test('nothing to complain of on a healthy machine', async () => {
  assert.deepEqual(await complaints({}), []);
});

test('nor just after the boot, when the kernel has not yet loaded what it has', async () => {
  const fresh = { '/proc/sys/net/netfilter/nf_conntrack_max': null, [queueFile]: null, 'queue module': '' };
  assert.deepEqual(await complaints(fresh), []);
});

test('without iptables only where it may be needed', async () => {
  const bare = { iptables: null, ip6tables: null };
  assert.deepEqual(await complaints(bare), []);
  assert.deepEqual(await complaints(bare, 'rules: nft'), []);
  const codes = (await complaints({ ...bare, nft: null })).map(({ code }) => code);
  assert.deepEqual(codes, ['tool-nft', 'tool-iptables', 'tool-ip6tables', 'tools']);
});

test('a port of a bridge that the configuration names is a complaint, another interface is not', async () => {
  const net = '/sys/class/net';
  const port = { [`${net}/eth0`]: '', [`${net}/eth1`]: '', [`${net}/eth1/brport`]: '' };
  const text = 'traffic: { interfaces: [eth0, eth1] }\nallow: { interfaces: [eth1] }';
  const [found, ...others] = await complaints(port, text);
  assert.equal(found?.code, 'bridge-port');
  assert.match(found.message, /^eth1 is a port of a bridge/);
  assert.deepEqual(others, []);
  assert.deepEqual(await complaints(port, 'traffic: { interfaces: [eth0] }'), []);
});

const tap: Changes = { '/sys/class/net/tap0': '', '/sys/class/net/tap0/flags': '0x1003\n' };

test('an interface that joins segments is told, and no complaint', async () => {
  const text = 'capture: { interfaces: [tap0], snap_bytes: 512 }';
  const { config } = combine(readConfigText(text, 'f'), 'f', { env: {}, flags: new Map<string, string>() });
  const said = async (features: string): Promise<string[]> => {
    const findings = await checkMachine(machineWith({ ...tap, ethtool: features }), config);
    assert.ok(findings.every(({ level }) => level === 'ok'));
    return findings.filter(({ code }) => code === 'capture-offload').map(({ message }) => message);
  };
  assert.match((await said('generic-receive-offload: on\n'))[0]!, /^tap0 joins .*first 512 bytes/);
  assert.deepEqual(await said('generic-receive-offload: off\nlarge-receive-offload: off [fixed]\n'), []);
});

test('a directory of captures that may not be written', async () => {
  const text = 'capture: { interfaces: [tap0], save: { directory: /var/lib/x } }';
  const told = await complaints({ ...tap, '/var/lib/x': '' }, text, ['/var/lib/x']);
  assert.deepEqual(
    told.map(({ code, mend }) => [code, mend]),
    [['capture-folder', 'sudo swarmgate doctor']],
  );
});

const cases: readonly (readonly [what: string, changes: Changes, text: string, complaint: RegExp])[] = [
  ['old Node', { node: '20.18.3' }, '', /error node .*20\.19/],
  ['no capability', { '/proc/self/status': 'CapEff:\t0000000000002000\n' }, '', /error permission .*sudo/],
  ['no NFQUEUE', { [queueFile]: null }, '', /error kernel-queue .*modprobe nfnetlink_queue/],
  ['no tool at all', { nft: null, iptables: null }, '', /error tools .*apt-get install nftables/],
  ['not the tool asked for', { ip6tables: null }, 'rules: iptables', /error tools .*install iptables/],
  [
    'conntrack full',
    { '/proc/sys/net/netfilter/nf_conntrack_count': '262000' },
    '',
    /warning conntrack .*nf_conntrack_max=524288/,
  ],
  ['no routing', { '/proc/sys/net/ipv4/ip_forward': '0\n' }, '', /warning forwarding-ipv4 .*ip_forward=1/],
  [
    'a bridge whose traffic passes by',
    { '/sys/class/net/br0': '', '/sys/class/net/br0/bridge': '' },
    '',
    /warning bridge .*modprobe br_netfilter && sysctl -w net\.bridge\.bridge-nf-call-iptables=1/,
  ],
  [
    'a queue of somebody else',
    { [queueFile]: ' 9601   4242     0 2 65531     0     0        0  1\n', '/proc/4242/comm': 'suricata\n' },
    '',
    /error queues .*9601 of 9600 to 9603 is held by suricata 4242 .*queue\.first: 9602/,
  ],
  [
    'a queue of our own',
    {
      [queueFile]: ' 9600   77     0 2 512     0     0        0  1\n',
      'holder of default': '4711',
    },
    '',
    /warning queues .*runs already, as process 4711/,
  ],
  ['an interface that is not there', {}, 'traffic: { interfaces: [lan0] }', /warning interface .*lan0/],
  [
    'no folder for EVE',
    {},
    'eve: { file: /var/log/x/eve.json }',
    /error eve-folder .*install -d .*\/var\/log\/x/,
  ],
  [
    'EVE into a folder',
    { '/var/log/x': '', '/var/log/x/.': '', '/var/log': '' },
    'eve: { file: /var/log/x }',
    /error eve-file .*is a folder set eve.file: \/var\/log\/x\/eve.json/,
  ],
  [
    'metrics on an address of another machine',
    { ip: '2: eth0    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0\n' },
    "metrics: { listen: '192.0.2.11:9666' }",
    /warning metrics .*192\.0\.2\.11 now.* ip address$/,
  ],
  [
    'nothing of that name to watch',
    {},
    'capture: { interfaces: [tap0] }',
    /error capture-interface tap0.* ip link$/,
  ],
  [
    'what is to be watched is down',
    { '/sys/class/net/tap0': '', '/sys/class/net/tap0/flags': '0x1002\n' },
    'capture: { interfaces: [tap0] }',
    /error capture-interface .*down ip link set dev tap0 up/,
  ],
  [
    'no directory for captures',
    tap,
    'capture: { interfaces: [tap0], save: { directory: /var/lib/x } }',
    /error capture-folder .*install -d .*\/var\/lib\/x/,
  ],
  ['little memory', { '/proc/meminfo': 'MemAvailable: 90000 kB' }, '', /warning memory .*87 MiB/],
];

for (const [what, changes, text, complaint] of cases) {
  test(what, async () => {
    const told = (await complaints(changes, text)).map(
      ({ level, code, message, mend }) => `${level} ${code} ${message} ${mend ?? ''}`,
    );
    assert.ok(
      told.some((line) => complaint.test(line)),
      told.join('\n'),
    );
  });
}

test('metrics on an address of this machine, however it is written, are no complaint', async () => {
  const ip = '2: eth0    inet 192.0.2.1/24 scope global eth0\n2: eth0    inet6 2001:db8::5/64 scope global\n';
  for (const listen of [
    '192.0.2.1:9666',
    '[2001:db8:0:0::5]:9666',
    '127.0.0.2:9666',
    '[::]:9666',
    '0.0.0.0:1',
  ])
    assert.deepEqual(await complaints({ ip }, `metrics: { listen: '${listen}' }`), [], listen);
});

test('a folder that may not be written', async () => {
  const [only, ...others] = await complaints({}, '', ['/run/swarmgate']);
  assert.deepEqual([only!.code, others.length], ['control-folder', 0]);
});

test('the text has one line per finding, mending commands, and a sum', () => {
  const findings = [fine('a', 'good'), warning('b', 'odd', 'do this')];
  assert.equal(
    doctorText(findings),
    'ok    good\nwarn  odd\n      mend: do this\n\nswarmgate can run here (1 warning)\n',
  );
});

test('what two parts of the program complain of is said once, by the graver', () => {
  const [mild, grave, other] = [warning('a', 'x', 'm'), failure('b', 'y', 'm'), warning('c', 'z', null)];
  assert.deepEqual(withoutRepeats([mild, grave, other, mild]), [grave, other]);
  assert.deepEqual(withoutRepeats([mild, mild, other, other]), [mild, other, other]);
});
