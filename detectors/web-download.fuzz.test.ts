import { readdirSync, readFileSync } from 'node:fs';
import { fuzz } from '../lib/fuzzing.js';
import { repositoryPath } from '../lib/testing.js';
import { parseFixture, runDetector, type Step } from './harness.js';
import { webDownload } from './web-download.js';

const folder = repositoryPath('fixtures', 'detectors', 'web-download', 'match');
const fixtures = readdirSync(folder).map((name) => parseFixture(readFileSync(`${folder}/${name}`, 'utf8')));
const seeds = fixtures.flatMap(({ steps }) => steps.map(({ payload }) => payload));

fuzz('web-download: whole, and in two segments', seeds, (bytes) => {
  for (const fromClient of [true, false]) {
    const whole: Step[] = [{ fromClient, payload: bytes }];
    const middle = bytes.length >> 1;
    const halves = [bytes.slice(0, middle), bytes.slice(middle)].map((payload) => ({ fromClient, payload }));
    for (const steps of [whole, halves, [...fixtures[0]!.steps, ...whole]])
      runDetector(webDownload, { steps, fromStart: true, clientPort: 50000, serverPort: 6881 });
  }
});
