/**
 * `make demo`: what Swarmgate does, shown on this machine in under a minute and without a router. A customer, a router
 * and the Internet are three network namespaces. Real clients fetch the same torrents twice, once without the filter and
 * once with it, next to an ordinary download; then the filter says why it decided as it did.
 */
import { existsSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DecisionReport } from '../lib/report/status.js';
import { startWeb, webUrl } from './benign.js';
import { startNodes, startTracker } from './clients.js';
import { Filter } from './filter.js';
import { Lab } from './lab.js';
import type { Running } from './process.js';
import { withoutFilter } from './requirements.js';
import {
  dhtNodes,
  prepare,
  scenarios,
  startTransfer,
  trackerPort,
  type Prepared,
  type Transfer,
} from './scenarios.js';

const contentBytes = 4 * 1024 * 1024;
const webBytes = 3_000_000;
/** So that the download lasts as long as one would like to watch. */
const webRate = '300k';
const watchSeconds = 11;
const decisionsShown = 8;

const chosen = scenarios.filter(
  ({ client, way, family, transport }) =>
    client === 'libtorrent' &&
    ((way === 'peer' && family === 4) ||
      way === 'dht' ||
      (way === 'udp-tracker' && transport === 'tcp' && family === 6)),
);

const say = (line = ''): void => {
  process.stdout.write(`${line}\n`);
};

function bar(share: number): string {
  const width = 16;
  const full = Math.round(share * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${String(Math.round(share * 100)).padStart(3)} %`;
}

const words: Readonly<Record<string, string>> = {
  peer: 'peer given',
  dht: 'magnet link, DHT',
  'udp-tracker': 'UDP tracker, IPv6',
};

function shortName({ scenario: { way, transport } }: Prepared): string {
  return `${words[way] ?? way}, ${transport === 'utp' ? 'uTP' : 'TCP'}`;
}

/** An ordinary download over HTTPS, slow enough to be watched. */
class WebDownload {
  readonly #path: string;
  readonly #curl: Running;
  constructor(lab: Lab) {
    this.#path = lab.path('demo-download');
    const argv = ['curl', '-sS', '-k', '--limit-rate', webRate, '-o', this.#path, webUrl('https')];
    this.#curl = lab.start('client', argv);
  }
  share(): number {
    return existsSync(this.#path) ? statSync(this.#path).size / webBytes : 0;
  }
  async end(): Promise<void> {
    await this.#curl.succeeds(20);
  }
}

const share = (transfer: Transfer): number => transfer.leecher.blocks() / transfer.prepared.torrent.blocks;

/** One line per transfer: how much has arrived after each few seconds. */
async function watch(
  transfers: readonly Transfer[],
  seconds: number,
  web: WebDownload | null,
): Promise<void> {
  const names = transfers.map(({ prepared }) => shortName(prepared));
  const rows = (): [string, number][] => [
    ...transfers.map((transfer, index): [string, number] => [`torrent (${names[index]!})`, share(transfer)]),
    ...(web === null ? [] : [['ordinary HTTPS download', web.share()] as [string, number]]),
  ];
  const started = Date.now();
  for (;;) {
    await sleep(web === null ? 1000 : 3000);
    const now = rows();
    const done = web === null && now.every(([, part]) => part === 1);
    const over = Date.now() - started > seconds * 1000;
    if (!done && !over && web === null) continue;
    say(`  after ${Math.round((Date.now() - started) / 1000)} s`);
    for (const [name, part] of now) say(`    ${name.padEnd(40)} ${bar(part)}`);
    if (done || over) return;
  }
}

async function startAll(lab: Lab, prepared: readonly Prepared[], phase: number): Promise<Transfer[]> {
  const transfers: Transfer[] = [];
  for (const each of prepared) transfers.push(await startTransfer(lab, each, phase));
  return transfers;
}

function sayDecision({ time, action, flow }: DecisionReport): void {
  const ends = `${flow.client} port ${flow.client_port} -> ${flow.server} port ${flow.server_port}`;
  say(
    `  ${time.slice(11, 19)}  ${action.padEnd(6)}  ${flow.kind ?? 'BitTorrent'} over ${flow.proto.toUpperCase()}, ${ends}`,
  );
  const decided = flow.decided_packet ?? Number.POSITIVE_INFINITY;
  for (const evidence of flow.evidence.filter(({ packet }) => packet <= decided)) {
    const hash = evidence.info_hash === undefined ? '' : `, info-hash ${evidence.info_hash.slice(0, 12)}...`;
    say(`            packet ${evidence.packet}: ${evidence.finding} (${evidence.confidence}${hash})`);
  }
}

/** One decision of each kind first, then more of the newest. */
function selection(decisions: readonly DecisionReport[]): DecisionReport[] {
  const first = decisions.filter(
    ({ flow }, index) => decisions.findIndex((other) => other.flow.kind === flow.kind) === index,
  );
  const rest = decisions.filter((each) => !first.includes(each));
  return [...first, ...rest].slice(0, decisionsShown);
}

async function withoutIt(lab: Lab, prepared: readonly Prepared[]): Promise<void> {
  say('1. Without Swarmgate: a customer downloads four torrents of 4 MB through the router.');
  const transfers = await startAll(lab, prepared, 0);
  await watch(transfers, 60, null);
  await Promise.all(transfers.map((each) => each.stop()));
  if (transfers.some((each) => share(each) < 1))
    throw new Error('the torrents do not even work without the filter');
}

async function withIt(lab: Lab, prepared: readonly Prepared[]): Promise<boolean> {
  say(
    '\n2. With Swarmgate on the router (swarmgate run --mode enforce): the same again, and an ordinary download.',
  );
  const filter = await Filter.start(lab, { mode: 'enforce' });
  const transfers = await startAll(lab, prepared, 1);
  const web = new WebDownload(lab);
  await watch(transfers, watchSeconds, web);
  await web.end();
  const status = await filter.status();
  say(`\n3. Why: what Swarmgate saw and did (${status.packets} packets looked at).`);
  selection(status.decisions).forEach(sayDecision);
  await Promise.all(transfers.map((each) => each.stop()));
  await filter.stop();
  return transfers.every((each) => share(each) === 0) && web.share() === 1;
}

async function main(): Promise<void> {
  if (withoutFilter !== false) {
    process.stderr.write(`swarmgate: the demo cannot run here: ${withoutFilter}\n`);
    process.exitCode = 1;
    return;
  }
  say(
    'Swarmgate demo. Everything happens in three network namespaces of this machine, which are removed at the end:',
  );
  say('  customer 100.64.1.2  ---  router (Swarmgate runs here)  ---  Internet 198.18.0.0/15\n');
  const lab = await Lab.create();
  try {
    const prepared = prepare(lab, chosen, contentBytes);
    await startWeb(lab);
    await startTracker(
      lab,
      trackerPort,
      prepared.map(({ server }) => server),
    );
    await startNodes(lab, dhtNodes);
    await withoutIt(lab, prepared);
    const good = await withIt(lab, prepared);
    say(
      good
        ? '\nNot one block of a torrent arrived; the download was not disturbed.'
        : '\nNot as it should be.',
    );
    if (!good) process.exitCode = 1;
  } finally {
    await lab.close();
  }
}

await main();
