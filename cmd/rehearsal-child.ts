/**
 * For rehearsal.test.ts, started with --allow-natives-syntax and --expose-gc: rehearses, makes a loop as a worker does, judges a few real
 * packets, and prints which functions of the packet's way were compiled after each of these.
 */
import { runInThisContext } from 'node:vm';
import { registry } from '../detectors/index.js';
import { AllowList } from '../lib/config/allow.js';
import { countersLength } from '../lib/engine/counters.js';
import type { ActionOptions } from '../lib/engine/action.js';
import { Engine } from '../lib/engine/engine.js';
import { Inspector } from '../lib/engine/inspect.js';
import { FlowTable } from '../lib/flow/table.js';
import { MemoryQueue } from '../lib/io/memory-queue.js';
import { ipv4, udp } from '../lib/wire/testing.js';
import { decodePacket } from '../lib/wire/decode.js';
import { FilterLoop } from './filter-loop.js';
import { rehearse } from './rehearsal.js';
import { exemptBy, makeSwarmMemory, watchOver } from './swarm-memory.js';

/** TypeScript knows no natives. */
const isCompiled = runInThisContext('(f) => %ActiveTierIsTurbofan(f)') as (f: unknown) => boolean;

const way: Readonly<Record<string, unknown>> = {
  turn: Reflect.get(FilterLoop.prototype, 'turn'),
  packet: Reflect.get(Engine.prototype, 'packet'),
  find: Reflect.get(FlowTable.prototype, 'find'),
  inspect: Reflect.get(Inspector.prototype, 'inspect'),
  decodePacket,
};

function compiled(): string[] {
  return Object.keys(way).filter((name) => isCompiled(way[name]));
}

/** A busy machine may compile later than a worker would wait. */
const patienceMillis = 20_000;

const action: ActionOptions = {
  ...{ default: 'reject', kinds: {}, inspectedPackets: 32, inspectedPacketsClear: 8 },
  ...{ blocks: true, allowedInfoHashes: new Set() },
};
const common = {
  registry,
  markMask: 0x7000_0000,
  pass: 'repeat',
  action,
  encrypted: 'corroborated',
} as const;

rehearse({ ...common, allow: AllowList.empty() }, patienceMillis);
const rehearsed = compiled();

const queue = new MemoryQueue();
const swarm = watchOver(makeSwarmMemory());
const allow = AllowList.empty();
swarm.isExempt = exemptBy(allow);
const loop = new FilterLoop({
  ...{ ...common, queue, allow, swarm, flowsMax: 65_536, hashSeed: 0x1234_5678, enforce: true },
  ...{ counts: new Float64Array(new SharedArrayBuffer(8 * countersLength)), sourceName: '' },
  ...{ onDecision: () => true, onDoubt: () => true },
});
const made = compiled();

let nowMicros = 1.7e15;
/** One flow more packets than it is looked at, others that say a word and are swept, and silences of all lengths. */
for (let i = 0; i < 40; i++) {
  const payload = Uint8Array.from({ length: 20 + i }, (_, k) => (k * i) & 0xff);
  queue.feed({ bytes: ipv4(17, udp(payload)), timeMicros: nowMicros });
  queue.feed({ bytes: ipv4(17, udp(payload, [2000 + i, 51_413])), timeMicros: nowMicros });
  loop.turn();
  nowMicros += [1e6, 25e6, 200e6, 700e6][i & 3]!;
}
const used = compiled();
globalThis.gc!();
for (let i = 0; i < 10; i++) {
  queue.feed({ bytes: ipv4(17, udp(Uint8Array.of(i, 1, 2, 3))), timeMicros: nowMicros + i });
  loop.turn();
}
process.stdout.write(JSON.stringify({ rehearsed, made, used, collected: compiled() }));
