import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nativeProblem } from './index.js';
import { openRingNatively, type RingArrays, type RingOptions } from './ring.js';
import { compileSanitized } from './testing.js';

const skip = nativeProblem() ?? false;

const options: RingOptions = {
  ...{ interface: 'lo', filter: '', batchPackets: 4, snapBytes: 1024 },
  ...{ blockBytes: 65_536, blocks: 2, retireMillis: 4, promiscuous: false },
};
const arrays = (length: number): RingArrays => ({
  start: new Int32Array(length),
  end: new Int32Array(length),
  wireLength: new Int32Array(length),
  timeMicros: new Float64Array(length),
  counters: new Float64Array(2),
});

test('arguments out of bounds are refused before anything is opened', { skip }, () => {
  const refused = (changes: Partial<RingOptions>, message: string): void => {
    assert.throws(() => openRingNatively({ ...options, ...changes }, arrays(4)), {
      name: 'TypeError',
      message,
    });
  };
  refused({ batchPackets: 257 }, 'batchPackets');
  refused({ snapBytes: 63 }, 'snapBytes');
  refused({ snapBytes: 262_145 }, 'snapBytes');
  refused({ blockBytes: 65_537 }, 'blockBytes');
  refused({ blockBytes: 16 * 1024 * 1024, blocks: 16_384 }, 'blockBytes');
  refused({ blocks: 1 }, 'blocks');
  refused({ retireMillis: 0 }, 'retireMillis');
  refused({ interface: 'an-interface-name' }, 'interface');
  refused({ interface: 'lo\0' }, 'interface');
  refused({ filter: 'u'.repeat(65_536) }, 'filter');
  assert.throws(() => openRingNatively(options, arrays(3)), { name: 'TypeError', message: 'start' });
  const wrong = { ...arrays(4), end: new Float64Array(4) } as unknown as RingArrays;
  assert.throws(() => openRingNatively(options, wrong), { name: 'TypeError', message: 'end' });
});

test('damaged blocks under a sanitizer: nothing is read or written outside of them', { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-ring-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const program = compileSanitized(folder, ['check-ring', 'ring', 'filter'], ['-ldl', '-pthread']);
  if (program === null) {
    t.skip('the C compiler has no address sanitizer');
    return;
  }
  const { status, stdout, stderr } = spawnSync(program, ['400000'], { encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 0, stderr);
  t.diagnostic(stdout.trim());
});
