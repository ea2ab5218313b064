/** What is counted of flows, against their records, over the recorded captures. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryPath } from '../lib/testing.js';
import { Scanner } from './scanner.js';

test('essence and near misses of a flow are those of its record', async () => {
  const folder = repositoryPath('fixtures', 'captures');
  const seen = { hashes: 0, software: 0, nearMisses: 0, suspects: 0 };
  for (const file of readdirSync(folder).filter((name) => name.includes('.pcap'))) {
    const scanner = new Scanner({
      continuous: false,
      onFlow: (flow) => {
        const report = flow.report();
        const essence = flow.essence();
        for (const [key, value] of Object.entries(essence))
          assert.deepEqual(value, report[key as keyof typeof essence], `${file} ${key}`);
        const said = report.near_misses.map(({ detector, kind, finding }) => ({ detector, kind, finding }));
        assert.deepEqual(flow.nearMisses(), said);
        seen.hashes += essence.info_hashes.length;
        seen.software += essence.client_software.length;
        seen.nearMisses += said.length;
        if (report.verdict === 'suspect') seen.suspects++;
      },
    });
    await scanner.run([{ path: join(folder, file), fromFolder: false }]);
  }
  assert.ok(Math.min(...Object.values(seen)) > 2, JSON.stringify(seen));
});
