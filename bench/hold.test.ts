import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FilterLoop } from '../cmd/filter-loop.js';
import { registry } from '../detectors/index.js';
import { countersLength } from '../lib/engine/counters.js';
import { MarkField, markMaskDefault, markPass } from '../lib/firewall/marks.js';
import { MemoryQueue } from '../lib/io/memory-queue.js';
import { nfRepeat } from '../lib/io/packet-queue.js';
import { ipv4, udp } from '../lib/wire/testing.js';
import { holdFlows } from './hold.js';

test('a held flow is inspected in every packet and never let go', () => {
  const queue = new MemoryQueue();
  const loop = new FilterLoop({
    ...{ queue, registry, markMask: markMaskDefault, pass: 'repeat', flowsMax: 64, hashSeed: 1 },
    action: {
      ...{ default: 'reject', kinds: {}, inspectedPackets: 32, inspectedPacketsClear: 8 },
      blocks: true,
      allowedInfoHashes: new Set(),
    },
    allow: { matches: () => false, matchesInterface: () => false, matchesMac: () => false },
    ...{ enforce: true, counts: new Float64Array(countersLength), sourceName: '', onDecision: () => true },
  });
  holdFlows(loop);
  // Begins as a message of the DHT does and is none: a detector has to look.
  const bytes = ipv4(17, udp(Uint8Array.from({ length: 40 }, (_, i) => [0x64, 0x31][i] ?? i)));
  let calls = 0;
  for (let i = 0; i < 400; i++) {
    queue.feed({ bytes });
    loop.turn();
    assert.ok(loop.engine.inspector.detectorCalls > calls, `packet ${i + 1}`);
    calls = loop.engine.inspector.detectorCalls;
  }
  const mark = new MarkField(markMaskDefault).write(0, markPass);
  assert.ok(queue.settled.every((packet) => packet.verdict === nfRepeat && packet.mark === mark));
});
