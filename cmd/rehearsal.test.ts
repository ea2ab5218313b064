import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registry } from '../detectors/index.js';
import { rehearse } from './rehearsal.js';

test('the rehearsal ends in time, with thousands of packets judged', () => {
  const began = performance.now();
  const packets = rehearse({
    registry,
    markMask: 0x7000_0000,
    pass: 'repeat',
    action: {
      default: 'reject',
      kinds: {},
      inspectedPackets: 32,
      inspectedPacketsClear: 8,
      blocks: true,
      allowedInfoHashes: new Set(),
    },
    allow: { matches: () => false, matchesInterface: () => false, matchesMac: () => false },
  });
  assert.ok(packets > 1000, `${packets} packets`);
  assert.ok(performance.now() - began < 5000);
});
