/** `swarmgate monitor` on links between network namespaces, with packets that are really sent. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ask } from '../lib/control/client.js';
import { cannotMakeNamespaces, hasProgram } from '../lib/firewall/testing.js';
import { capProblem, ringProblem } from '../lib/io/open-live.js';
import type { LiveExplanation } from '../lib/report/explain-live.js';
import { Links, MonitorProcess } from './monitor-testing.js';

const skip = cannotMakeNamespaces();
const missing = { ring: ringProblem(), cap: capProblem() } as const;
const sources = ['ring', 'cap'] as const;

describe('a monitor', { skip, timeout: 180_000 }, () => {
  let links: Links;
  let nextPort = 20_000;
  const ports = (): { peer: number; web: number } => {
    nextPort += 2;
    return { peer: nextPort, web: nextPort + 1 };
  };

  before(async () => {
    links = new Links();
    await links.serve();
  });
  after(() => {
    links.close();
  });

  for (const source of sources) {
    test(
      `by ${source}: a handshake is found and named everywhere, a web request beside it is not`,
      { skip: missing[source] ?? false },
      async () => {
        const monitor = await MonitorProcess.start(links, ['-i', 'm0', '--source', source]);
        assert.match(
          monitor.said,
          new RegExp(`ready: watching m0 \\(${source}\\), nothing is blocked; 2 workers`),
        );
        const { peer, web } = ports();
        links.talk('10.9.0.2', { peer, web });
        const { decisions, capture, rules } = await monitor.decided(1);
        assert.deepEqual(
          decisions.map(({ flow, in_interface, action }) => [
            flow.client_port,
            flow.kind,
            in_interface,
            action,
          ]),
          [[peer, 'peer', 'm0', 'monitor-reject']],
        );
        const [watched] = capture!.interfaces;
        assert.deepEqual([watched!.source, watched!.state, watched!.skipped], [source, 'watching', 0]);
        assert.ok(watched!.captured > 10);
        assert.equal(rules.backend, 'none');
        assert.deepEqual(
          monitor.alerts().map(({ src_port, in_iface }) => [src_port, in_iface]),
          [[peer, 'm0']],
        );
        assert.match(monitor.ask('status'), new RegExp(`^Watching m0 \\(${source}\\) since`));
        const flow = `tcp:10.9.0.1:${peer}-10.9.0.2:5000`;
        assert.match(monitor.ask('explain', '--live', flow), /peer handshake \(BEP 3\)/);
        assert.deepEqual(await monitor.stop(), [0, null], monitor.said);
        assert.doesNotMatch(monitor.said, /warn|error/);
      },
    );

    test(
      `by ${source}: an interface that is deleted is waited for, and watched again when it is back`,
      { skip: missing[source] ?? false },
      async () => {
        links.connect('m2', 7);
        const monitor = await MonitorProcess.start(links, ['-i', 'm0', '-i', 'm2', '--source', source]);
        links.run(links.near, 'ip link delete m2');
        await monitor.heard('interface-lost');
        await monitor.until(
          async () => (await monitor.status()).capture!.interfaces[1]!.problem === 'it is gone',
          'it is gone',
        );
        assert.match(monitor.ask('status'), /NOT WATCHED now: m2 \(waiting\)/);
        links.connect('m2', 7);
        await monitor.heard('watching m2 again');
        assert.equal(monitor.said.split('interface-lost').length, 2, monitor.said);
        const { peer, web } = ports();
        links.talk('10.9.7.2', { peer, web });
        const { decisions, capture } = await monitor.decided(1);
        assert.deepEqual([decisions[0]!.flow.client_port, decisions[0]!.in_interface], [peer, 'm2']);
        assert.deepEqual(
          capture!.interfaces.map(({ state, restarts, problem }) => [state, restarts, problem]),
          [
            ['watching', 0, null],
            ['watching', 1, null],
          ],
        );
        assert.deepEqual(await monitor.stop(), [0, null], monitor.said);
        links.run(links.near, 'ip link delete m2');
      },
    );
  }

  const noRing = { skip: missing.ring ?? false };

  test('a flow whose directions come on two interfaces is one flow', noRing, async () => {
    const monitor = await MonitorProcess.start(links, ['-i', 'm0', '-i', 'm1']);
    const { peer, web } = ports();
    links.talk('10.9.3.1', { peer, web }, '10.9.2.1');
    const { decisions, flows, capture } = await monitor.decided(1);
    assert.equal(decisions.length, 1);
    assert.deepEqual([decisions[0]!.flow.client, decisions[0]!.flow.client_port], ['10.9.2.1', peer]);
    // Of two interfaces it is not known whose packets come first, so the flow is asked for once all have come.
    const ends = { proto: 'tcp', a: '10.9.2.1', a_port: peer, b: '10.9.3.1', b_port: 5000 };
    await monitor.until(async () => {
      const { flow } = (await ask(monitor.socket, 'explain', ends)) as LiveExplanation;
      return flow !== null && flow.packets_to_server > 5 && flow.packets_to_client > 5;
    }, 'packets of both directions in one flow');
    assert.equal(flows.by_kind.peer, 1);
    for (const { captured } of capture!.interfaces) assert.ok(captured > 5);
    assert.deepEqual(await monitor.stop(), [0, null]);
  });

  test('a worker that is lost comes back, takes its rings over and goes on finding', noRing, async () => {
    const monitor = await MonitorProcess.start(links, ['-i', 'm0'], { SWARMGATE_TEST_FAULTS: '1' });
    for (const worker of [0, 1]) await ask(monitor.socket, 'worker-crash', { worker });
    await monitor.heard('worker 0 is back');
    await monitor.heard('worker 1 is back');
    const { peer, web } = ports();
    links.talk('10.9.0.2', { peer, web });
    const { decisions, workers } = await monitor.decided(1);
    assert.equal(decisions[0]!.flow.client_port, peer);
    assert.deepEqual(
      workers.map(({ restarts, state, queue }) => [restarts, state, queue]),
      [
        [1, 'running', null],
        [1, 'running', null],
      ],
    );
    assert.deepEqual(await monitor.stop(), [0, null]);
  });

  test(
    'by cap: a process that hangs is ended and begun again, one on an idle link is left alone',
    { skip: missing.cap ?? false },
    async () => {
      const monitor = await MonitorProcess.start(links, ['-i', 'm0', '-i', 'm1', '--source', 'cap']);
      const { pid } = await monitor.status();
      const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
        .trim()
        .split(' ')
        .find((each) => readFileSync(`/proc/${each}/cmdline`, 'utf8').includes('"interface":"m0"'));
      process.kill(Number(child), 'SIGSTOP');
      await monitor.heard('the capture of m0 was lost (its process hangs)');
      await monitor.heard('watching m0 again');
      const { capture } = await monitor.status();
      assert.deepEqual(
        capture!.interfaces.map(({ state, restarts }) => [state, restarts]),
        [
          ['watching', 1],
          ['watching', 0],
        ],
      );
      assert.deepEqual(await monitor.stop(), [0, null]);
    },
  );

  test('an expression of libpcap is applied by the kernel', noRing, async () => {
    const { peer, web } = ports();
    const monitor = await MonitorProcess.start(links, ['-i', 'm0', '-f', `tcp and not port ${peer}`]);
    links.talk('10.9.0.2', { peer, web });
    await monitor.until(async () => (await monitor.status()).packets > 4, 'packets');
    const { decisions } = await monitor.status();
    assert.deepEqual(decisions, []);
    assert.deepEqual(await monitor.stop(), [0, null]);
  });

  const reader = hasProgram('tshark') ? 'tshark' : 'tcpdump';
  test(
    `packets of detected flows are saved in files that ${reader} reads, within the bound`,
    { skip: missing.ring ?? (hasProgram(reader) ? false : `${reader} is not installed`) },
    async () => {
      const saved = join(links.folder, 'saved');
      mkdirSync(saved);
      const words = ['-i', 'm0', '--save-detected', saved, '--save-file-bytes', '65536', '--save-files', '2'];
      const monitor = await MonitorProcess.start(links, words);
      const all = Array.from({ length: 20 }, ports);
      for (const { peer, web } of all) links.talk('10.9.0.2', { peer, web });
      await monitor.decided(all.length);
      assert.deepEqual(await monitor.stop(), [0, null], monitor.said);
      const files = readdirSync(saved).sort();
      assert.equal(files.length, 2);
      const seen = new Set<number>();
      for (const file of files) {
        const path = join(saved, file);
        assert.ok(statSync(path).size <= 65_536);
        assert.equal(statSync(path).mode & 0o777, 0o640);
        for (const port of tcpPorts(reader, path)) seen.add(port);
      }
      assert.ok(seen.has(all.at(-1)!.peer) && seen.has(5000), [...seen].join());
      for (const { web } of all) assert.ok(!seen.has(web) && !seen.has(8080));
    },
  );

  test('a reload: an allow-list is taken over, another interface needs a restart', noRing, async () => {
    const file = join(links.folder, 'config.yaml');
    writeFileSync(file, 'mode: enforce\n');
    const monitor = await MonitorProcess.start(links, ['-i', 'm0', '--config', file]);
    assert.equal(monitor.said.split('[cannot-block]').length, 2, monitor.said);
    assert.equal((await monitor.status()).mode, 'monitor');
    writeFileSync(file, 'mode: enforce\nallow: { networks: [10.9.0.2] }\n');
    monitor.child.kill('SIGHUP');
    await monitor.heard('taken over');
    const { peer, web } = ports();
    links.talk('10.9.0.2', { peer, web });
    await monitor.until(async () => (await monitor.status()).flows.allowed >= 2, 'allowed flows');
    writeFileSync(file, 'capture: { snap_bytes: 128 }\n');
    monitor.child.kill('SIGHUP');
    await monitor.heard('reload-refused');
    assert.deepEqual((await monitor.status()).decisions, []);
    assert.deepEqual(await monitor.stop(), [0, null]);
    assert.equal(monitor.said.split('[cannot-block]').length, 2, monitor.said);
  });

  test('a second instance of the same name is refused while the first one runs', noRing, async () => {
    const name = `m${process.pid}-two`;
    const first = await MonitorProcess.start(links, ['-i', 'm0', '--instance', name]);
    const second = new MonitorProcess(links, ['-i', 'm1', '--instance', name]);
    assert.deepEqual(await second.ended(), [69, null]);
    assert.match(second.said, /\[instance-busy\]/);
    assert.deepEqual(await first.stop(), [0, null]);
  });

  const refusals: readonly (readonly [string, readonly string[], number, string, string[]?])[] = [
    ['no interface', [], 2, 'no-interface'],
    ['an interface that is not there', ['-i', 'nope'], 69, 'interface-missing'],
    ['one of two that is not there', ['-i', 'm0', '-i', 'nope'], 69, 'interface-missing'],
    ['a filter that is none', ['-i', 'm0', '-f', 'prot 80'], 78, 'bad-filter'],
    ['a folder that is not there', ['-i', 'm0', '--save-detected', '/nowhere'], 69, 'save-directory'],
    [
      'a process without CAP_NET_RAW',
      ['-i', 'm0'],
      77,
      'capture-permission',
      ['setpriv', '--bounding-set', '-net_raw'],
    ],
  ];
  for (const [what, words, code, name, wrapper] of refusals) {
    const needs = wrapper === undefined || hasProgram(wrapper[0]!) ? missing.ring : `no ${wrapper[0]!} here`;
    test(`${what} is refused with its code`, { skip: needs ?? false }, async () => {
      const monitor = new MonitorProcess(links, words, {}, wrapper);
      assert.deepEqual(await monitor.ended(), [code, null], monitor.said);
      assert.match(monitor.said, new RegExp(`\\[${name}\\]\n$`));
    });
  }

  for (const [words, name] of [
    [['-i', 'nope', '--source', 'cap'], 'interface-missing'],
    [['-i', 'm0', '--source', 'cap', '-f', 'prot 80'], 'bad-filter'],
  ] as const) {
    test(`by cap: ${name} is refused with its code`, { skip: missing.cap ?? false }, async () => {
      const monitor = new MonitorProcess(links, words);
      await monitor.ended();
      assert.match(monitor.said, new RegExp(`\\[${name}\\]\n$`));
    });
  }
});

/** Every port of a capture file, as another program reads it. */
function tcpPorts(reader: string, path: string): number[] {
  if (reader === 'tshark') {
    const fields = ['-T', 'fields', '-E', 'separator=,', '-e', 'tcp.srcport', '-e', 'tcp.dstport'];
    const text = execFileSync('tshark', ['-r', path, ...fields], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return text.split(/[\n,]/).filter(Boolean).map(Number);
  }
  const text = execFileSync('tcpdump', ['-nr', path, 'tcp'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return [...text.matchAll(/\.(\d+)(?: >|:)/g)].map((match) => Number(match[1]));
}
