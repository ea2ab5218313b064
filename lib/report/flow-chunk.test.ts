/** A flow read from a copy of its row must be the flow read where it lay. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Scanner } from '../../cmd/scanner.js';
import { registry } from '../../detectors/index.js';
import { captureNames, capturesFolder } from '../../fixtures/scan-fixture.js';
import { EndedFlowView } from './ended-flow.js';
import { FlowChunk } from './flow-chunk.js';
import type { FlowReport } from './report.js';

/** What the chunk holds, after the way to another thread and back. */
function reportsIn(chunk: FlowChunk): FlowReport[] {
  const packed = structuredClone(chunk.pack());
  const arrived = FlowChunk.unpack(registry, packed);
  const view = new EndedFlowView(() => 'a file');
  return Array.from({ length: packed.flows }, (_, flow) => {
    arrived.turnTo(flow);
    view.show(arrived, flow);
    return { ...view.report(), flow_id: 0 };
  });
}

test('every flow of the recorded captures, in chunks that are often full', async () => {
  // One chunk for all: what earlier flows left in it must never show.
  const chunk = new FlowChunk(registry, 3, 9);
  const view = new EndedFlowView(() => 'a file');
  const direct: FlowReport[] = [];
  const copied: FlowReport[] = [];
  const scanner = new Scanner({
    continuous: false,
    flowsMax: 64,
    onRow: (engine, slot) => {
      view.show(engine, slot);
      direct.push({ ...view.report(), flow_id: 0 });
      if (chunk.add(engine, slot)) return;
      copied.push(...reportsIn(chunk));
      assert.ok(chunk.add(engine, slot), 'an empty chunk takes any flow');
    },
  });
  await scanner.run(captureNames().map((name) => ({ path: join(capturesFolder, name), fromFolder: false })));
  copied.push(...reportsIn(chunk));
  assert.deepEqual(copied, direct);
  const withEvidence = direct.filter(({ evidence }) => evidence.length > 1).length;
  const tunnelled = direct.filter(({ tunnel }) => tunnel !== undefined).length;
  assert.ok(direct.length > 200 && withEvidence > 20 && tunnelled > 3, `${withEvidence} ${tunnelled}`);
});

test('a chunk is as large as what is in it, and empty after it was packed', () => {
  const chunk = new FlowChunk(registry, 512, 1024);
  const { flows, items, memory } = chunk.pack();
  assert.deepEqual([flows, items, memory.byteLength, chunk.size], [0, 0, 0, 0]);
});
