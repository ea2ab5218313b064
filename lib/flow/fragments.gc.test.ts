/** The data plane allocates nothing: a process of its own decodes millions of packets and sees no garbage collection. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { PerformanceObserver } from 'node:perf_hooks';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { concat, fromHex } from '../testing.js';
import { decodePacket } from '../wire/decode.js';
import { linkEthernet } from '../wire/link.js';
import { Fragment, Packet } from '../wire/packet.js';
import { ethernet, extension, fragment6, ipv4, ipv6, tcp, udp } from '../wire/testing.js';
import { FragmentTable } from './fragments.js';

const childVariable = 'SWARMGATE_GC_CHILD';
const packets = 4_000_000;
/** A real time stamp: larger than a small integer, so that V8 would box it if it were passed on. */
const recordedMicros = 1_790_000_000_000_000;

function frames(): Uint8Array[] {
  const payload = new Uint8Array(200).fill(0x64);
  const inner = ipv4(6, tcp(payload));
  const pieces = [0, 24].map((offset) => {
    const piece = udp(payload).subarray(offset, offset === 0 ? 24 : undefined);
    return ipv6(44, fragment6(17, 9, offset, offset === 0, piece));
  });
  return [
    inner,
    ipv4(17, udp(payload)),
    ipv4(17, udp(concat(fromHex('30ff 00f0 00000001'), inner), [2152, 2152])),
    ipv4(47, concat(fromHex('2000 0800 00000001'), inner)),
    ipv4(17, udp(payload, [1, 2], 3)),
    ...pieces,
    ipv6(0, extension(60, extension(6, tcp(payload)))),
  ].map((datagram) => ethernet(datagram[0]! >> 4 === 4 ? 0x0800 : 0x86dd, datagram));
}

/** Decodes `count` frames in turn and reassembles the fragments among them; returns how many became whole. */
function decodeAll(packet: Packet, table: FragmentTable, all: readonly Uint8Array[], count: number): number {
  let whole = 0;
  for (let i = 0; i < count; i++) {
    const bytes = all[i & 7]!;
    if (decodePacket(packet, bytes, 0, bytes.length, bytes.length, linkEthernet) !== Fragment) continue;
    packet.timeMicros = recordedMicros + i;
    if (table.offer(packet)) whole++;
  }
  return whole;
}

async function child(): Promise<void> {
  const packet = new Packet();
  const table = new FragmentTable();
  const all = frames();
  const collections: number[] = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) collections.push(entry.startTime);
  }).observe({ entryTypes: ['gc'] });
  decodeAll(packet, table, all, 400_000);
  globalThis.gc?.();
  await sleep(50);
  const begin = performance.now();
  const whole = decodeAll(packet, table, all, packets);
  const end = performance.now();
  await sleep(50);
  const during = collections.filter((time) => time >= begin && time <= end).length;
  process.stdout.write(
    JSON.stringify({
      during,
      forced: collections.some((time) => time < begin),
      whole,
      nanos: ((end - begin) * 1e6) / packets,
    }),
  );
}

if (process.env[childVariable] === undefined) {
  test('decoding and reassembling millions of packets causes no garbage collection', (t) => {
    const run = spawnSync(
      process.execPath,
      [...process.execArgv, '--expose-gc', '--max-semi-space-size=1', fileURLToPath(import.meta.url)],
      { encoding: 'utf8', env: { ...process.env, [childVariable]: '1', NODE_TEST_CONTEXT: undefined } },
    );
    assert.equal(run.status, 0, run.stderr);
    const result = JSON.parse(run.stdout) as Record<'during' | 'whole' | 'nanos', number> & {
      forced: boolean;
    };
    t.diagnostic(`${result.nanos.toFixed(1)} ns per packet over plain, tunnelled and fragmented packets`);
    assert.equal(result.whole, packets / 8);
    assert.ok(result.forced, 'the collection forced before the run was observed, so others would be as well');
    assert.equal(result.during, 0);
  });
} else {
  await child();
}
