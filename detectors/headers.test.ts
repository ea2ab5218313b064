/** The checks of a header that the engine asks before it shows a datagram: they refuse nothing that inspect would take. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryPath } from '../lib/testing.js';
import { No, View } from './detector.js';
import { parseFixture } from './harness.js';
import { everyDetector } from './testing.js';

const nothing = new Uint8Array(0);
const headed = everyDetector.filter(({ header }) => header !== undefined);

function payloadsOf(name: string): Uint8Array[] {
  const folder = repositoryPath('fixtures', 'detectors', name);
  return ['match', 'near', 'short'].flatMap((kind) =>
    readdirSync(join(folder, kind)).flatMap((file) =>
      parseFixture(readFileSync(join(folder, kind, file), 'utf8')).steps.map(({ payload }) => payload),
    ),
  );
}

test('only detectors of datagrams have one: a segment may be the middle of a stream', () => {
  assert.ok(headed.length > 0);
  assert.deepEqual(
    headed.filter(({ transport }) => transport !== 'udp').map(({ name }) => name),
    [],
  );
});

for (const detector of headed) {
  test(`${detector.name}: every payload beside every other that was kept of either side, whole and cut`, () => {
    const payloads = payloadsOf(detector.name);
    let refused = 0;
    let taken = 0;
    for (const whole of payloads)
      for (const kept of [nothing, ...payloads])
        for (const cut of [whole.length, 40, 24, 20, 16, 12, 8])
          for (const ofOther of [true, false]) {
            const view = new View();
            view.bytes = whole;
            view.end = Math.min(cut, whole.length);
            view.wireLength = whole.length;
            if (ofOther) {
              view.other = kept;
              view.otherEnd = view.otherWireLength = kept.length;
            } else {
              view.opening = kept;
              view.openingEnd = view.openingWireLength = kept.length;
            }
            const likely = detector.header!(view.bytes, view.start, view.end, view.wireLength);
            const outcome = detector.inspect(view);
            if (outcome !== No || view.near >= 0) {
              taken++;
              assert.ok(
                likely,
                `${Buffer.from(whole).toString('hex')} beside ${Buffer.from(kept).toString('hex')}`,
              );
            } else if (!likely) refused++;
          }
    assert.ok(taken > 0 && refused > 0, `${taken} taken, ${refused} refused`);
  });
}
