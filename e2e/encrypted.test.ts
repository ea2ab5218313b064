/**
 * Real clients that speak by MSE with RC4 only, and of which nothing but that one connection, or those connections, can be
 * seen: no tracker, no DHT, no exchange of peers in clear.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startClient, type Client, type Endpoint } from './clients.js';
import { Filter } from './filter.js';
import { clientV4, Lab, serverV4 } from './lab.js';
import { until } from './process.js';
import { withoutFilter, withoutLab } from './requirements.js';
import { makeTorrent, type Torrent } from './torrent.js';

const contentBytes = 1024 * 1024;
const completionSeconds = 90;
const watchSeconds = 12;
/** As on a usual line: without a limit the first seeder is done before the third is dialled. */
const uploadRate = 200_000;
const seederPort = 41_000;
/** Of one connection, until it is blocked. */
const leakMax = 64 * 1024;

describe('encrypted clients', { skip: withoutLab || withoutFilter, timeout: 300_000 }, () => {
  let lab: Lab;
  let torrent: Torrent;
  const clients: Client[] = [];
  let number = 0;

  before(async () => {
    lab = await Lab.create();
    torrent = makeTorrent(lab, 'encrypted', contentBytes);
  });
  after(async () => {
    await lab.close();
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.process.stop()));
    await Filter.stopAll();
  });

  async function start(
    seed: boolean,
    address: string,
    port: number,
    peers: readonly Endpoint[],
  ): Promise<Client> {
    const client = await startClient(lab, 'libtorrent', {
      host: seed ? 'server' : 'client',
      label: `encrypted-${number++}`,
      torrent,
      seed,
      address,
      port,
      transport: 'tcp',
      encrypted: true,
      uploadRate,
      peers,
    });
    clients.push(client);
    return client;
  }

  /** A download from as many seeders, each at an address of its own. */
  async function download(seeders: number): Promise<Client> {
    const ends: Endpoint[] = [];
    for (let i = 0; i < seeders; i++) {
      const end: Endpoint = [serverV4(60 + number), seederPort + number];
      await start(true, ...end, []);
      ends.push(end);
    }
    return start(false, clientV4, 42_000 + number, ends);
  }

  test('without the filter it completes; beside the default filter too, as one connection proves nothing', async () => {
    for (const filtered of [false, true]) {
      const filter = filtered ? await Filter.start(lab, { mode: 'enforce' }) : null;
      const leecher = await download(1);
      await until(
        () => leecher.complete(),
        completionSeconds,
        () => leecher.process.tail(),
      );
      await filter?.stop();
    }
  });

  test('encrypted: shape: no block arrives, and little leaks', async (t) => {
    const filter = await Filter.start(lab, { mode: 'enforce', words: ['--encrypted', 'shape'] });
    const leecher = await download(1);
    await sleep(watchSeconds * 1000);
    const status = await filter.status();
    const blocks = leecher.blocks();
    await filter.stop();
    assert.equal(blocks, 0);
    const kinds = status.decisions.map(({ flow }) => flow.kind);
    assert.ok(kinds.length > 0 && kinds.every((kind) => kind === 'encrypted'), String(kinds));
    for (const { flow } of status.decisions) {
      t.diagnostic(`${flow.payload_bytes_before_decision} bytes before the verdict, ${flow.reason}`);
      assert.ok(flow.payload_bytes_before_decision! < leakMax);
    }
  });

  test('three seeders: stopped in the default too, when the third is tried', async (t) => {
    const filter = await Filter.start(lab, { mode: 'enforce' });
    const leecher = await download(3);
    await sleep(watchSeconds * 1000);
    const status = await filter.status();
    const blocks = leecher.blocks();
    await filter.stop();
    for (const { flow } of status.decisions) t.diagnostic(`${flow.server}: ${flow.reason}`);
    // The first flows bring some blocks before the third remote has answered.
    t.diagnostic(`${blocks} of ${torrent.blocks} blocks`);
    assert.ok(blocks < torrent.blocks / 4);
  });

  test('encrypted: off: it completes', async () => {
    const filter = await Filter.start(lab, { mode: 'enforce', words: ['--encrypted', 'off'] });
    const leecher = await download(1);
    await until(
      () => leecher.complete(),
      completionSeconds,
      () => leecher.process.tail(),
    );
    await filter.stop();
  });
});
