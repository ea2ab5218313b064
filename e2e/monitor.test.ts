/**
 * `swarmgate monitor` beside real BitTorrent clients: it watches the router's interface while they transfer, names each
 * flow for what it is, and nothing of the transfer changes.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test, type TestContext } from 'node:test';
import { capProblem, ringProblem } from '../lib/io/open-live.js';
import { download, startWeb, webUrl } from './benign.js';
import { startNodes, startTracker } from './clients.js';
import { Filter, savedRules, type Sighting } from './filter.js';
import { Lab } from './lab.js';
import { limited, until } from './process.js';
import { withoutLab } from './requirements.js';
import {
  dhtNodes,
  kindsOf,
  leecherPort,
  prepare,
  scenarios,
  startTransfer,
  trackerPort,
  type Prepared,
} from './scenarios.js';

const contentBytes = 2 * 1024 * 1024;
const completionSeconds = 120;
const names = [
  'libtorrent peer tcp IPv4',
  'libtorrent peer utp IPv6',
  'libtorrent dht utp IPv4',
  'transmission dial tcp IPv4',
  'transmission udp-tracker tcp IPv4',
  'aria2 http-tracker tcp IPv4',
];
/** Ports of the downloaders; other tests have the lower ones. */
const phases = { ring: 5, cap: 6 } as const;
const missing = { ring: ringProblem(), cap: capProblem() } as const;

describe('a monitor beside real clients', { skip: withoutLab, timeout: 600_000 }, () => {
  let lab: Lab;
  let prepared: Prepared[];
  let rulesBefore: string;

  before(async () => {
    lab = await Lab.create();
    rulesBefore = savedRules(lab);
    prepared = prepare(
      lab,
      names.map((name) => scenarios.find((each) => each.name === name)!),
      contentBytes,
    );
    const servers = prepared.map(({ server }) => server);
    await startTracker(lab, trackerPort, servers);
    await startNodes(lab, dhtNodes);
    await startWeb(lab);
  });
  after(async () => {
    await lab.close();
  });
  afterEach(async () => {
    await Filter.stopAll();
  });

  /** All transfers at once, each to its end. */
  async function transferAll(phase: number): Promise<void> {
    const tasks = prepared.map((each) => async (): Promise<void> => {
      const transfer = await startTransfer(lab, each, phase);
      try {
        await until(
          () => transfer.leecher.complete(),
          completionSeconds,
          () => `completion of ${transfer.tails()}`,
        );
        assert.equal(transfer.leecher.blocks(), each.torrent.blocks, transfer.name);
      } finally {
        await transfer.stop();
      }
    });
    await limited(2, tasks);
  }

  async function watch(t: TestContext, source: 'ring' | 'cap'): Promise<void> {
    const words = ['-i', 'lan0', '--source', source, '--no-live'];
    const monitor = await Filter.start(lab, { command: 'monitor', mode: 'monitor', words });
    const decisions = monitor.watchDecisions();
    await transferAll(phases[source]);
    await download(lab, webUrl('http'));
    await download(lab, webUrl('https'));
    const sightings = await decisions.end();
    const { capture, decode, packets } = await monitor.status();
    await monitor.stop();
    const [watched] = capture!.interfaces;
    t.diagnostic(`${packets} packets, ${sightings.length} decisions, ${JSON.stringify(watched)}`);
    assert.equal(watched!.source, source);
    assert.equal(decode.malformed ?? 0, 0);
    for (const each of prepared) checkKinds(sightings, each, phases[source]);
    checkInnocent([...sightings, ...monitor.alerts()]);
    const blocking = [...sightings].filter(({ action }) => !action.startsWith('monitor-'));
    assert.deepEqual(blocking, []);
    assert.equal(savedRules(lab), rulesBefore);
  }

  for (const source of ['ring', 'cap'] as const) {
    test(
      `by ${source}: every transfer completes and is named, ordinary traffic is not`,
      { skip: missing[source] ?? false },
      async (t) => {
        await watch(t, source);
      },
    );
  }
});

/** A DHT node and its uTP share a port, and aria2 begins its own connections encrypted: see clients.test.ts. */
function checkKinds(sightings: readonly Sighting[], each: Prepared, phase: number): void {
  const { first, peer } = kindsOf(each.scenario);
  const port = leecherPort(each, phase);
  const own = sightings.filter(
    ({ addresses, ports }) => addresses.includes(each.server) || ports.includes(port),
  );
  const kinds = new Set(own.map(({ kind }) => kind));
  assert.ok(kinds.has(first), `${each.scenario.name}: ${first} is not among ${[...kinds].join()}`);
  const possible = [first, peer, 'encrypted', ...(each.scenario.way === 'dht' ? ['peer', 'utp'] : [])];
  assert.deepEqual(
    [...kinds].filter((kind) => !possible.includes(kind)),
    [],
    each.scenario.name,
  );
}

/** Where the web server is. */
function checkInnocent(sightings: readonly Sighting[]): void {
  const harmed = sightings.filter(({ addresses }) =>
    addresses.some((address) => /^(198\.18\.2\.1|2001:db8:100:2::1)$/.test(address)),
  );
  assert.deepEqual(harmed, []);
}
