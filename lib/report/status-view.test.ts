import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeDecision, fakeDoubt, fakeStatus } from './status-testing.js';
import { bitsText, microsText, renderStatus, verdictOf } from './status-view.js';
import type { StatusReport, WorkerState } from './status.js';
import { fakeEvidence, fakeNear, fakeReport, hostileTexts } from './testing.js';

const plain = { width: 80, colour: false };
const rules = (changes: Partial<StatusReport['rules']>): StatusReport['rules'] => ({
  ...fakeStatus().rules,
  ...changes,
});

test('the first line says whether BitTorrent is blocked', () => {
  const verdict = (changes: Partial<StatusReport>): string => verdictOf(fakeStatus(changes)).text;
  assert.match(verdict({}), /^Blocking BitTorrent since 2026-01-31 12:34:56 UTC\.$/);
  assert.match(verdict({ mode: 'monitor' }), /^Watching only since .* nothing is blocked\.$/);
  assert.match(verdict({ rules: rules({ state: 'damaged' }) }), /^NOT SURE TO BLOCK/);
  assert.match(verdict({ rules: rules({ state: 'absent' }) }), /^NOT WORKING: .*absent/);
  assert.match(verdict({ rules: rules({ state: 'unknown' }) }), /not known yet/);
  assert.match(verdict({ rules: rules({ backend: 'none', state: 'unknown' }) }), /rules of your own/);
  assert.match(verdict({ workers: [] }), /^NOT WORKING: no worker runs/);
  const all = (state: WorkerState): StatusReport['workers'] =>
    fakeStatus().workers.map((worker) => ({ ...worker, state }));
  assert.match(verdict({ workers: all('starting') }), /^Starting: no worker is ready yet/);
  assert.match(verdict({ workers: all('restarting') }), /^NOT WORKING: no worker runs/);
  assert.match(verdict({ workers: [...all('starting'), ...all('running')] }), /^Blocking/);
});

test('figures, hosts and decisions are there', () => {
  const text = renderStatus(fakeStatus(), plain);
  assert.match(text, /12,346 packets\/s, 98\.8 Mbit\/s/);
  assert.match(text, /1,234,567 packets, 988 MB/);
  assert.match(text, /4,500 dropped, 67 rejected/);
  assert.match(text, /50 % 38 µs, 90 % 38 µs, 99 % 215 µs, most 1\.2 ms/);
  assert.match(text, /900 BitTorrent, 100 suspect, 10,000 clear, 9,000 not recognised/);
  assert.match(text, /600 dht, 300 peer/);
  assert.match(text, /17 packets passed without inspection/);
  assert.match(text, /192\.168\.1\.10 +700 +12:34:59 +dht 500, peer 200/);
  assert.match(text, /12:34:56 dropped: tcp 192\.168\.1\.10:51413 > 198\.51\.100\.7:6881 \(eth0 to\s+eth1\)/);
  assert.match(text, /would reject: tcp/);
  assert.match(text, /peer: peer handshake: length byte 19 and protocol string/);
});

test('the table of connections is shown, and is a warning when it is nearly full', () => {
  const page = (tracking: StatusReport['tracking']): string =>
    renderStatus(fakeStatus({ tracking }), plain).replace(/\s+/g, ' ');
  assert.match(page({ entries: 1234, entries_max: 262_144 }), / kernel 1,234 of at most 262,144 connections/);
  assert.doesNotMatch(page({ entries: 1234, entries_max: 262_144 }), /dropped by the kernel/);
  assert.match(
    page({ entries: 990, entries_max: 1000 }),
    /Kernel: 990 of 1000 tracked connections are in use; what does not fit is dropped by the kernel; sysctl -w net\.netfilter\.nf_conntrack_max=2000/,
  );
  assert.doesNotMatch(page(null), / kernel /);
});

test('the leak, the memory of the swarm, and what passed in doubt', () => {
  const text = renderStatus(fakeStatus(), plain).replace(/\s+/g, ' ');
  assert.match(
    text,
    / leaked 45\.7 kB of payload passed before the verdicts; 850 of 900 flows fell at the first packet with payload/,
  );
  assert.match(text, / doubtful 123 flows passed although something spoke for BitTorrent or nearly did/);
  assert.match(text, / remembered 4,321 of at most 131,072 peers \(5,432 learned, 66 refused, 44 forgotten/);
  assert.match(text, /early\); 55 hosts and ports; 7\.00 MB/);
  assert.match(text, /Doubtful flows that passed 12:34:56 passed: udp 192\.168\.1\.10:51413 > /);
  assert.match(text, /not believed, dht: a bencoded dictionary, but without transaction id/);
});

test('of a suspect the strongest evidence is shown; some flows, and all on demand', () => {
  const evidence = [
    fakeEvidence({ confidence: 'strong', detector: 'mse', finding: 'four messages' }),
    fakeEvidence({ confidence: 'hint', finding: 'something else' }),
  ];
  const flow = fakeNear({ verdict: 'suspect', reason: 'single-strong', evidence });
  const status = fakeStatus({ doubtful: Array.from({ length: 9 }, () => fakeDoubt({ flow })) });
  const text = renderStatus(status, plain);
  assert.equal(text.split('single-strong, mse: four messages').length, 4);
  assert.match(text, /6 more doubtful flows: swarmgate status --full/);
  assert.equal(renderStatus(status, { ...plain, all: true }).split('mse: four messages').length, 10);
  const none = fakeStatus({ doubtful: [], flows: { ...fakeStatus().flows, doubtful: 0 } });
  assert.doesNotMatch(renderStatus(none, plain), /[Dd]oubt/);
});

test('it fits into 80 columns and into the height of a terminal', () => {
  const address = 'fd00:1234:5678:9abc:def0:1234:5678:9abc';
  const decisions = Array.from({ length: 100 }, () =>
    fakeDecision({ flow: fakeReport({ client: address, server: address }) }),
  );
  const text = renderStatus(fakeStatus({ decisions }), plain);
  for (const line of text.split('\n')) assert.ok(line.length <= 80, line);
  assert.match(text, /95 more decisions: swarmgate status --full/);
  assert.equal(renderStatus(fakeStatus({ decisions }), { ...plain, height: 20 }).split('\n').length, 21);
  assert.ok(renderStatus(fakeStatus({ decisions }), { ...plain, all: true }).split('\n').length > 200);
  for (const width of [1, 40, 200]) renderStatus(fakeStatus({ decisions }), { ...plain, width });
});

test('nothing from the wire acts on the terminal', () => {
  for (const text of hostileTexts) {
    const flow = fakeReport({
      client: text,
      evidence: [fakeEvidence({ finding: text, client_software: text })],
    });
    const status = fakeStatus({
      instance: text,
      version: text,
      decisions: [fakeDecision({ flow, in_interface: text, time: text })],
      doubtful: [
        fakeDoubt({ flow, in_interface: text, time: text }),
        fakeDoubt({ flow: fakeNear({ near_misses: [fakeEvidence({ finding: text, detector: text })] }) }),
      ],
      hosts: [{ ...fakeStatus().hosts[0]!, address: text, last_seen: text }],
      rules: rules({ problem: text }),
    });
    assert.doesNotMatch(renderStatus(status, plain).replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  }
});

test('colour only where it is allowed, and ended on each line', () => {
  assert.ok(!renderStatus(fakeStatus(), plain).includes('\x1b'));
  const coloured = renderStatus(fakeStatus({ mode: 'monitor' }), { width: 45, colour: true });
  assert.ok(coloured.startsWith('\x1b[1;33m'));
  for (const line of coloured.split('\n'))
    assert.ok(!line.includes('\x1b') || line.endsWith('\x1b[0m'), line);
});

test('records that are not in the event log are told, and a program of before is understood', () => {
  assert.match(renderStatus(fakeStatus(), plain), /65 records of 987 are not in the event log/);
  const older: Record<string, unknown> = { ...fakeStatus() };
  delete older['events'];
  assert.doesNotMatch(renderStatus(older as unknown as StatusReport, plain), /event log/);
});

test('an empty status is drawn as well', () => {
  const text = renderStatus(
    fakeStatus({ workers: [], hosts: [], decisions: [], mode_since: 'x', latency_histogram: [] }),
    plain,
  );
  assert.match(text, /None yet\./);
});

test('units', () => {
  assert.equal(bitsText(0), '0 bit');
  assert.equal(bitsText(999.6), '1.00 kbit');
  assert.equal(bitsText(12_345_678), '12.3 Mbit');
  assert.equal(microsText(1.4), '1.4 µs');
  assert.equal(microsText(76.2), '76 µs');
  assert.equal(microsText(1340), '1.3 ms');
  assert.match(microsText(2 ** 24), /^over 14 s/);
});
