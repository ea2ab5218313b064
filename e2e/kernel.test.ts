/** Swarmgate beside other users of the kernel's packet filter, and at the edges of a connection's life. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Download, download, slowUrl, startWeb, webUrl } from './benign.js';
import { Filter, savedRules } from './filter.js';
import { clientV4, Lab, serverV4 } from './lab.js';
import { withoutFilter } from './requirements.js';
import { handshake, startListener, talk, target, Torrents, webRequest } from './traffic.js';

const blockedSeconds = 5;
const dropping = 'action: { default: drop }\n';

describe('beside others', { skip: withoutFilter, timeout: 240_000 }, () => {
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

  const iptables = (...words: string[]): string => lab.runNow('router', ['iptables', '-w', ...words]);

  /** Packets that a rule in mangle POSTROUTING counted, by its comment. */
  function counted(comment: string): number {
    const line = iptables('-t', 'mangle', '-nvxL', 'POSTROUTING')
      .split('\n')
      .find((each) => each.includes(`/* ${comment} */`));
    assert.ok(line, `no rule ${comment}`);
    return Number(line.trim().split(/\s+/)[0]);
  }

  test('foreign marks of packets and connections pass through unchanged', async () => {
    const others = ['-t', 'mangle'];
    iptables(...others, '-A', 'PREROUTING', '-j', 'CONNMARK', '--set-xmark', '0x5/0xff');
    iptables(...others, '-A', 'PREROUTING', '-j', 'MARK', '--set-xmark', '0x300/0xff00');
    const count = (comment: string, ...words: string[]): string =>
      iptables(...others, '-A', 'POSTROUTING', ...words, '-m', 'comment', '--comment', comment);
    count('all');
    count('foreign', '-m', 'mark', '--mark', '0x300/0xff00');
    count('ours', '-m', 'mark', '!', '--mark', '0/0x70000000');
    count('connection', '-m', 'connmark', '--mark', '0x5/0xff');
    const filter = await Filter.start(lab, { mode: 'enforce' });
    await download(lab, webUrl('http'));
    await download(lab, webUrl('https'));
    assert.equal((await talk(lab, webRequest)).outcome, 'end');
    const [all, foreign, connection, ours] = ['all', 'foreign', 'connection', 'ours'].map(counted);
    await filter.stop();
    iptables(...others, '-F', 'PREROUTING');
    iptables(...others, '-F', 'POSTROUTING');
    assert.ok(all! > 100, `only ${all!} packets`);
    assert.equal(foreign, all, 'packets that kept the foreign mark');
    assert.equal(connection, all, 'packets whose connection kept the foreign mark');
    assert.equal(ours, 0, 'packets that still carry our field when they leave');
  });

  test('reject: the client sees the reset at once', async () => {
    const filter = await Filter.start(lab, { mode: 'enforce', config: 'action: { default: reject }\n' });
    const result = await talk(lab, handshake);
    assert.equal(result.outcome, 'ECONNRESET', JSON.stringify(result));
    assert.ok(result.connected && result.received === 0 && result.millis < 1500, JSON.stringify(result));
    const status = await filter.status();
    assert.ok(status.actions.rejected > 0);
    assert.equal(status.decisions[0]?.action, 'reject');
    await filter.stop();
  });

  test('a five-tuple that is used again after a dropped flow is inspected anew', async () => {
    const filter = await Filter.start(lab, { mode: 'enforce', config: dropping });
    const port = 33_333;
    const dropped = await talk(lab, handshake, port, 3);
    assert.equal(dropped.outcome, 'timeout', JSON.stringify(dropped));
    assert.equal(dropped.received, 0);
    const page = await talk(lab, webRequest, port, 10);
    assert.equal(page.outcome, 'end', JSON.stringify(page));
    assert.ok(page.received > 20);
    await sleep(500);
    const again = await talk(lab, handshake, port, 4);
    assert.equal(
      again.outcome,
      'timeout',
      `a flow that was let go does not protect the next: ${JSON.stringify(again)}`,
    );
    await filter.stop();
  });

  test('in a tunnel with one port for all a peer is stopped, whatever else went through before', async (t) => {
    const inner = { client: '192.168.77.1', server: '192.168.77.2' } as const;
    const ends = [
      ['client', clientV4, target],
      ['server', target, clientV4],
    ] as const;
    const ip = (host: 'client' | 'server', words: string): string =>
      lab.runNow(host, ['ip', ...words.split(' ')]);
    try {
      ip('client', 'link add vx0 type vxlan id 42 dstport 4789 srcport 4789 4790');
    } catch {
      t.skip('this kernel has no VXLAN');
      return;
    }
    ip('client', 'link del vx0');
    for (const [host, local, remote] of ends) {
      ip(
        host,
        `link add vx0 type vxlan id 42 local ${local} remote ${remote} dstport 4789 srcport 4789 4790`,
      );
      ip(host, `addr add ${inner[host]}/24 dev vx0`);
      ip(host, 'link set vx0 up');
    }
    const filter = await Filter.start(lab, { mode: 'enforce' });
    // More packets than a flow is looked at, none of which can be BitTorrent, in the one connection that the kernel sees.
    await lab.run('client', ['ping', '-q', '-c', '200', '-i', '0.01', inner.server]);
    const peer = await talk(lab, handshake, 0, 4, inner.server);
    assert.deepEqual([peer.outcome, peer.received], ['timeout', 0], JSON.stringify(peer));
    const page = await talk(lab, webRequest, 0, 10, inner.server);
    assert.equal(page.outcome, 'end', JSON.stringify(page));
    await filter.stop();
    assert.deepEqual([...new Set(filter.alerts().map(({ kind }) => kind))], ['peer']);
    for (const [host] of ends) ip(host, 'link del vx0');
  });

  test('--local: client and filter on the same host', async () => {
    const before = savedRules(lab, 'client');
    const filter = await Filter.start(lab, { mode: 'enforce', host: 'client', words: ['--local'] });
    assert.equal(await torrents.blocksWithin(blockedSeconds), 0, filter.process.tail());
    await download(lab, webUrl('http'));
    await download(lab, webUrl('https', 6));
    await lab.run('client', ['ping', '-q', '-c', '5', '-i', '0.1', '127.0.0.1']);
    await filter.stop();
    assert.deepEqual([...new Set(filter.alerts().map(({ kind }) => kind))], ['peer']);
    assert.equal(savedRules(lab, 'client'), before);
    assert.equal(await torrents.blocksWithin(30), torrents.blocks, 'passes again after the stop');
  });

  test('without --local what the filter’s own host does is left alone', async () => {
    const filter = await Filter.start(lab, { mode: 'enforce', host: 'client' });
    assert.equal(await torrents.blocksWithin(30), torrents.blocks, filter.process.tail());
    await filter.stop();
    assert.deepEqual(filter.alerts(), []);
  });

  test('connections that are open at the start go on', async () => {
    // Held, not only slowed: however long the filter takes to start, they are amid their transfer then.
    const rate = 250_000;
    const downloads = [
      new Download(lab, slowUrl('http', 4, rate)),
      new Download(lab, slowUrl('https', 6, rate)),
    ];
    await Promise.all(downloads.map((each) => each.hold()));
    const filter = await Filter.start(lab, { mode: 'enforce' });
    for (const each of downloads) each.goOn();
    await Promise.all(downloads.map((each) => each.ends()));
    assert.ok((await filter.status()).packets > 0, 'it saw them');
    await filter.stop();
  });

  test('--rules none changes nothing', async () => {
    const filter = await Filter.start(lab, { mode: 'enforce', words: ['--rules', 'none'] });
    assert.equal(savedRules(lab), rulesBefore);
    assert.equal(await torrents.blocksWithin(30), torrents.blocks);
    assert.equal((await filter.status()).rules.backend, 'none');
    await filter.stop();
    assert.equal(savedRules(lab), rulesBefore);
  });

  test('rules of the administrator are still asked after ours', async () => {
    iptables('-A', 'FORWARD', '-d', serverV4(2), '-p', 'tcp', '--dport', '80', '-j', 'REJECT');
    const filter = await Filter.start(lab, { mode: 'enforce' });
    await assert.rejects(download(lab, webUrl('http'), ['--connect-timeout', '3']));
    await download(lab, webUrl('https'));
    await filter.stop();
    assert.match(savedRules(lab), /--dport 80 -j REJECT/);
    iptables('-F', 'FORWARD');
    await lab.run('client', ['ping', '-q', '-c', '1', target]);
  });
});
