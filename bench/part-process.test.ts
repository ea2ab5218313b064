import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PartProcess } from './part-process.js';

test('a part that fails is left out with its reason, and the rest goes on', async () => {
  const process = new PartProcess();
  const context = { quick: true, repeat: 1, rounds: 1, mix: null, smallMix: null, largeMix: null };
  const result = await process.run('decode', context);
  assert.match(result.problem ?? '', /^failed: .*a part that needs the mix says so/);
  assert.deepEqual(result.figures, []);
});
