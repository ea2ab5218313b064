/**
 * Real BitTorrent clients through the filter. First without it, which also measures how long each transfer takes; then
 * in enforce mode, beside ordinary traffic, where not one block may arrive; then in monitor mode, where all must.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBenign, type Benign } from './benign.js';
import { startNodes, startTracker } from './clients.js';
import { Filter, savedRules, type Sighting } from './filter.js';
import { Lab } from './lab.js';
import { limited, until } from './process.js';
import { withoutFilter, withoutLab } from './requirements.js';
import {
  dhtNodes,
  kindsOf,
  leecherPort,
  prepare,
  scenarios,
  startTransfer,
  trackerPort,
  withoutSlow,
  type Prepared,
  type Transfer,
} from './scenarios.js';

const contentBytes = 4 * 1024 * 1024;
/** The slowest is transmission over DHT: about a minute. */
const completionSeconds = 150;
const graceSeconds = 5;
/** Starts at once on a machine that has two cores and other work. */
const startWidth = 4;

type Phase = 'off' | 'enforce' | 'monitor';
const phaseNumber: Readonly<Record<Phase, number>> = { off: 0, enforce: 1, monitor: 2 };

describe('BitTorrent clients', { skip: withoutLab, timeout: 900_000 }, () => {
  let lab: Lab;
  let prepared: Prepared[];
  let benign: Benign[];
  let rulesBefore: string;
  const ownSeconds = new Map<string, number>();
  let logged: readonly Sighting[] = [];

  before(async () => {
    lab = await Lab.create();
    rulesBefore = savedRules(lab);
    prepared = prepare(lab, scenarios, contentBytes);
    await startTracker(
      lab,
      trackerPort,
      prepared.map(({ server }) => server),
    );
    await startNodes(lab, dhtNodes);
    benign = await startBenign(lab);
  });
  after(async () => {
    await lab.close();
  });
  afterEach(async () => {
    await Filter.stopAll();
  });

  /** Runs `watch` on every transfer at the same time. */
  async function phase(name: Phase, watch: (transfer: Transfer) => Promise<void>): Promise<void> {
    const watches: Promise<void>[] = [];
    const transfers: Transfer[] = [];
    const start = async (each: Prepared): Promise<void> => {
      const transfer = await startTransfer(lab, each, phaseNumber[name]);
      transfers.push(transfer);
      watches.push(watch(transfer));
    };
    // The slow ones first.
    const order = [...prepared].sort((a, b) => slowness(b) - slowness(a));
    try {
      await limited(
        startWidth,
        order.map((each) => () => start(each)),
      );
      await Promise.allSettled(watches);
      await Promise.all(watches);
    } finally {
      await Promise.all(transfers.map((transfer) => transfer.stop()));
    }
  }

  async function completes(transfer: Transfer): Promise<void> {
    const name = transfer.name;
    await until(
      () => transfer.leecher.complete(),
      completionSeconds,
      () => `completion of ${transfer.tails()}`,
    );
    ownSeconds.set(name, ownSeconds.get(name) ?? (Date.now() - transfer.started) / 1000);
    await transfer.stop();
  }

  test('transmission over DHT alone', { skip: withoutSlow }, () => {
    assert.ok(scenarios.some(({ client, way }) => client === 'transmission' && way === 'dht'));
  });

  test('without the filter every transfer completes', async (t) => {
    await phase('off', completes);
    for (const [name, seconds] of ownSeconds) t.diagnostic(`${name}: ${seconds.toFixed(1)} s`);
    assert.equal(ownSeconds.size, scenarios.length);
  });

  const enforceName = 'enforce: not one block arrives, and ordinary traffic is unharmed';
  test(enforceName, { skip: withoutFilter }, async (t) => {
    const filter = await Filter.start(lab, { mode: 'enforce' });
    const decisions = filter.watchDecisions();
    const failures: string[] = [];
    await Promise.all([
      phase('enforce', async (transfer) => {
        await sleep(((ownSeconds.get(transfer.name) ?? 30) * 2 + graceSeconds) * 1000);
        const blocks = transfer.leecher.blocks();
        if (blocks > 0)
          failures.push(`${blocks} of ${transfer.prepared.torrent.blocks} blocks: ${transfer.tails()}`);
      }),
      ordinary(failures),
    ]);
    const sightings = await decisions.end();
    const status = await filter.status();
    await filter.stop();
    logged = filter.alerts();
    t.diagnostic(`${sightings.length} decisions, ${JSON.stringify(status.actions)}`);
    t.diagnostic(`${status.packets} packets, latency ${JSON.stringify(status.latency_micros)}`);
    assert.deepEqual(failures, []);
    assert.equal(status.mode, 'enforce');
    checkInnocent(sightings);
    checkKinds(sightings, 'enforce');
    assert.equal(savedRules(lab), rulesBefore);
  });

  test('the EVE log of that run names the same', { skip: withoutFilter }, () => {
    checkKinds(logged, 'enforce');
    checkInnocent(logged);
  });

  /** Ordinary programs, twice: while the torrents begin, and later. */
  async function ordinary(failures: string[]): Promise<void> {
    for (let round = 1; round <= 2; round++) {
      for (const each of benign)
        await each.run().catch((error: unknown) => {
          failures.push(
            `${each.name}, round ${round}: ${error instanceof Error ? error.message : String(error)}`,
          );
        });
    }
  }

  test('monitor: every transfer completes and is named', { skip: withoutFilter }, async (t) => {
    const filter = await Filter.start(lab, { mode: 'monitor' });
    const decisions = filter.watchDecisions();
    await phase('monitor', completes);
    const sightings = await decisions.end();
    const status = await filter.status();
    await filter.stop();
    t.diagnostic(`${sightings.length} decisions, ${JSON.stringify(status.actions)}`);
    const actions = new Set(sightings.map(({ action }) => action));
    assert.deepEqual(
      [...actions].filter((action) => !action.startsWith('monitor-')),
      [],
    );
    checkKinds(sightings, 'monitor');
    assert.equal(savedRules(lab), rulesBefore);
    const { dropped, rejected } = status.actions;
    assert.deepEqual({ dropped, rejected }, { dropped: 0, rejected: 0 }, 'counts of what was blocked');
  });

  /** Each scenario was seen as what it is; in enforce mode only what it begins with can be seen. */
  function checkKinds(alerts: readonly Sighting[], name: Phase): void {
    const wrong: string[] = [];
    for (const each of prepared) {
      const { first, peer } = kindsOf(each.scenario);
      const port = leecherPort(each, phaseNumber[name]);
      const own = alerts.filter(
        ({ addresses, ports }) => addresses.includes(each.server) || ports.includes(port),
      );
      const kinds = new Set(own.map(({ kind }) => kind));
      // A DHT node and its uTP share a port: where the DHT came first, it has decided their flow.
      // aria2 begins its own connections encrypted (MSE); whose connection it is depends on who was quicker.
      const mayHide = first === 'dht' || each.scenario.seeder === 'aria2';
      const wanted = name === 'enforce' || mayHide ? [first] : [first, peer];
      for (const kind of wanted)
        if (!kinds.has(kind)) wrong.push(`${each.scenario.name}: ${kind} was not named`);
      for (const kind of kinds)
        if (!possibleKinds(each, first, peer).includes(kind))
          wrong.push(`${each.scenario.name}: named ${kind}`);
    }
    assert.deepEqual(wrong, []);
  }
});

/**
 * aria2 and transmission have DHT nodes of their own which the known nodes ping; uTP and DHT share a port. aria2 tries
 * with encryption first.
 */
function possibleKinds({ scenario }: Prepared, first: string, peer: string): string[] {
  return [first, peer, 'encrypted', ...(scenario.way === 'dht' ? ['peer', 'utp'] : [])];
}

function slowness({ scenario }: Prepared): number {
  return (scenario.way === 'dht' ? 2 : 0) + (scenario.client === 'libtorrent' ? 0 : 1);
}

/** No alert names a server of the ordinary programs. */
function checkInnocent(alerts: readonly Sighting[]): void {
  const harmed = alerts.filter(({ addresses }) =>
    addresses.some((each) => /^(198\.18\.2\.1|2001:db8:100:2::1)$/.test(each)),
  );
  assert.deepEqual(harmed, []);
}
