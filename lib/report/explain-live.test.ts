import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainLive } from './explain-live.js';
import { fakeDecision } from './status-testing.js';
import { fakeClear, fakeReport, hostileTexts } from './testing.js';

const options = { colour: false, columns: 100 };

test('a decided flow: evidence, what was done, no frames', () => {
  const text = explainLive({ flow: fakeReport(), decision: fakeDecision(), worker: 1 }, options)!;
  assert.match(text, /^Flow \d+, live\n {2}TCP from client 192\.168\.1\.10:51413/);
  assert.match(text, /1\. Packet 4 \(sent by the client, 42 ms after the first\): peer handshake/);
  assert.match(text, /was dropped at 2026-01-31 12:34:56 UTC by worker 1, in by eth0, out by eth1\./);
  assert.match(text, /Worker 1 tracks the flow\./);
  assert.doesNotMatch(text, /[Ff]rame/);
});

test('a flow that is gone, one that passes, one that nobody knows', () => {
  const gone = explainLive(
    { flow: null, decision: fakeDecision({ action: 'monitor-drop' }), worker: null },
    options,
  )!;
  assert.match(gone, /no longer tracked/);
  assert.match(gone, /mode is monitor/);
  assert.match(explainLive({ flow: fakeClear(), decision: null, worker: 0 }, options)!, /The flow passes\./);
  assert.match(
    explainLive({ flow: fakeReport(), decision: null, worker: 0 }, options)!,
    /no longer in memory/,
  );
  assert.equal(explainLive({ flow: null, decision: null, worker: null }, options), null);
});

test('nothing from the wire acts on the terminal', () => {
  for (const text of hostileTexts) {
    const decision = fakeDecision({
      in_interface: text,
      time: text,
      flow: fakeReport({ client: text, file: text }),
    });
    const shown = explainLive({ flow: null, decision, worker: 1 }, options)!;
    assert.doesNotMatch(shown.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  }
});
