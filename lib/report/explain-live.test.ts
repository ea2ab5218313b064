import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainLive, type LiveExplanation } from './explain-live.js';
import { fakeDecision, fakeDoubt } from './status-testing.js';
import { fakeClear, fakeReport, hostileTexts } from './testing.js';

const options = { colour: false, columns: 100 };
const shown = (live: Partial<LiveExplanation>): string | null =>
  explainLive({ flow: null, decision: null, doubt: null, memory: [], worker: null, ...live }, options);

test('a decided flow: evidence, what was done, no frames', () => {
  const text = shown({ flow: fakeReport(), decision: fakeDecision(), worker: 1 })!;
  assert.match(text, /^Flow \d+, live\n {2}TCP from client 192\.168\.1\.10:51413/);
  assert.match(text, /1\. Packet 4 \(sent by the client, 42 ms after the first\): peer handshake/);
  assert.match(text, /was dropped at 2026-01-31 12:34:56 UTC by worker 1, in by eth0, out by eth1\./);
  assert.match(text, /Worker 1 tracks the flow\./);
  assert.doesNotMatch(text, /[Ff]rame/);
});

test('a flow that is gone, one that passes, one that nobody knows', () => {
  const gone = shown({ decision: fakeDecision({ action: 'monitor-drop' }) })!;
  assert.match(gone, /no longer tracked/);
  assert.match(gone, /mode is monitor/);
  assert.match(shown({ flow: fakeClear(), worker: 0 })!, /The flow passes\./);
  assert.match(shown({ flow: fakeReport(), worker: 0 })!, /no longer in memory/);
  assert.equal(shown({}), null);
});

test('a flow that passed in doubt: what nearly spoke for BitTorrent, and when it was let go', () => {
  const gone = shown({ doubt: fakeDoubt() })!;
  assert.match(gone, /What looked like BitTorrent and was not believed/);
  assert.match(gone, /a bencoded dictionary, but without\s+transaction id/);
  assert.match(
    gone,
    /was let pass at 2026-01-31 12:34:56 UTC by worker 0, in by eth0, out by eth1: what was/,
  );
  assert.match(gone, /how it was when it was let go/);
  assert.match(shown({ flow: fakeReport(), doubt: fakeDoubt() })!, /no longer in memory/);
});

test('what is remembered of both ends', () => {
  const proof = { kinds: ['dht', 'peer'] as const, partners: 4, age_seconds: 12 };
  const text = shown({
    flow: fakeReport(),
    memory: [
      { address: '192.168.1.10', port: 51413, endpoint: 'trusted', host: proof, host_port: proof },
      { address: '2001:db8::1', port: 6881, endpoint: 'unknown', host: null, host_port: null },
    ],
  })!.replace(/\s+/g, ' ');
  assert.match(
    text,
    /192\.168\.1\.10:51413: known as a peer; on this port spoke dht, peer with about 4 networks, last 12/,
  );
  assert.match(text, /\[2001:db8::1\]:6881: not known as a peer; no BitTorrent of this host/);
});

test('nothing from the wire acts on the terminal', () => {
  for (const text of hostileTexts) {
    const decision = fakeDecision({
      in_interface: text,
      time: text,
      flow: fakeReport({ client: text, file: text }),
    });
    const memory = [{ address: text, port: 1, endpoint: 'named', host: null, host_port: null }] as const;
    for (const live of [{ decision }, { doubt: decision }]) {
      const page = shown({ ...live, memory, worker: 1 })!;
      assert.doesNotMatch(page.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
    }
  }
});
