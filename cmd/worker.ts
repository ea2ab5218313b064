/**
 * Entry of a worker thread of the inline filter. It opens its queue, says so, and then blocks in the kernel until there
 * are packets; what the control plane says reaches it between two batches.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { registryWith } from '../detectors/index.js';
import { listsOf, type ListedNames } from '../detectors/listed-names.js';
import type { ActionOptions } from '../lib/engine/action.js';
import type { Registry } from '../lib/engine/registry.js';
import type { SwarmWatch } from '../lib/engine/swarm-watch.js';
import { AllowList } from '../lib/config/allow.js';
import { wantsNames } from '../lib/config/config.js';
import { interfaceIndex } from '../lib/io/interfaces.js';
import { NfqueueQueue } from '../lib/io/nfqueue.js';
import type { PacketQueue, QueueBatch } from '../lib/io/packet-queue.js';
import { RingWriter } from '../lib/io/slab-ring.js';
import { counterAt } from '../lib/engine/counters.js';
import { markMaskDefault } from '../lib/firewall/marks.js';
import { threadId, workClock } from '../lib/native/index.js';
import { confineData } from './affinity.js';
import { FilterLoop } from './filter-loop.js';
import {
  controlHeard,
  controlMessages,
  controlState,
  doubtsMax,
  reportsMax,
  stateDrain,
  stateRun,
  type FromWorker,
  type PolicySettings,
  type StartMessage,
  type ToWorker,
  type WorkerSettings,
} from './filter-settings.js';
import { packetBetween } from './flow-lookup.js';
import { giveUp, openRings } from './ring-intake.js';
import { ReportBox } from './report-box.js';
import { exemptBy, watchOver } from './swarm-memory.js';
import { rehearse } from './rehearsal.js';

/** How long one wait for packets lasts, and so how soon a message is heard on an idle queue. */
const waitMillis = 200;
/** A drain ends when nothing came for one wait, or after this time. */
const drainMillis = 2000;
const notSavedAt = counterAt('packetsNotSaved');
const givenUpAt = counterAt('packetsGivenUp');
/** How soon the allow-list knows an interface that came up. */
const resolveMillis = 2000;

if (parentPort === null) throw new Error('worker.js is started by swarmgate');
const port = parentPort;
const settings = workerData as WorkerSettings;
const control = new Int32Array(settings.control);
const counts = new Float64Array(settings.counters);

function tell(message: FromWorker | StartMessage): void {
  port.postMessage(message);
}

/** The lists of names in force; the detectors look into them for every hello. */
const lists: ListedNames = listsOf(settings.policy.names, settings.hashSeed);

function enabled(policy: PolicySettings): Registry {
  const off = new Set(policy.detectorsOff);
  const registry = registryWith(wantsNames(policy) ? lists : null);
  return { ...registry, detectors: registry.detectors.filter(({ name }) => !off.has(name)) };
}

function actionOptions({ mode, action, limits, allow }: PolicySettings): ActionOptions {
  return {
    blocks: mode === 'enforce',
    default: action.default,
    kinds: action.kinds,
    inspectedPackets: limits.inspectedPackets,
    inspectedPacketsClear: limits.inspectedPacketsClear,
    allowedInfoHashes: new Set(allow.infoHashes),
  };
}

const box = new ReportBox(control);

function open(): PacketQueue {
  if (settings.queue === null) {
    if (settings.restarted) counts[givenUpAt]! += giveUp(settings.rings);
    return openRings(settings.rings, waitMillis, workClock());
  }
  const { number, batchPackets, copyBytes, lengthMax, receiveBufferBytes } = settings.queue;
  return new NfqueueQueue({
    queue: number,
    batchPackets,
    copyBytes,
    lengthMax,
    receiveBufferBytes,
    failOpen: true,
    gso: true,
    timeoutMillis: waitMillis,
  });
}

/** Index of an interface as the packets tell it. */
function indexOf(name: string): number | null {
  if (settings.rings === null) return interfaceIndex(name);
  const place = settings.rings.interfaces.indexOf(name);
  return place < 0 ? null : place + 1;
}

function allowListOf(policy: PolicySettings): AllowList {
  const list = new AllowList(policy.allow);
  list.resolveInterfaces(indexOf);
  return list;
}

let allowList = allowListOf(settings.policy);

const passive = settings.rings !== null;
const way = {
  registry: enabled(settings.policy),
  markMask: passive ? markMaskDefault : settings.markMask,
  pass: passive ? 'accept' : settings.pass,
  passive,
  action: actionOptions(settings.policy),
};

function hear(loop: FilterLoop, swarm: SwarmWatch): void {
  for (
    let received = receiveMessageOnPort(port) as { message: ToWorker } | undefined;
    received !== undefined;
    received = receiveMessageOnPort(port) as { message: ToWorker } | undefined
  ) {
    const { message } = received;
    if (message.kind === 'policy') {
      if (message.anew) loop.forget();
      loop.policy.configure(actionOptions(message.policy));
      allowList = allowListOf(message.policy);
      loop.allow = allowList;
      Object.assign(lists, listsOf(message.policy.names, settings.hashSeed));
      loop.enforce = message.policy.mode === 'enforce';
      loop.engine.inspector.encrypted = message.policy.encrypted;
      swarm.isExempt = exemptBy(allowList);
    } else if (message.kind === 'find') {
      const packet = packetBetween(message.ends);
      tell({ kind: 'found', id: message.id, flow: packet === null ? null : loop.find(packet) });
    } else throw new Error('crash on request (fault test)');
  }
}

const saved = settings.rings?.saved ?? null;
const saver = saved === null ? null : new RingWriter(saved, settings.rings!.savedBell);

function save(batch: QueueBatch, i: number): void {
  if (saver?.offer(batch, i) === false) counts[notSavedAt]! += 1;
}

function run(queue: PacketQueue): void {
  // After the rehearsal, as the loop is: what was made before it would change its form with it.
  const swarm = watchOver(settings.swarm);
  swarm.isExempt = exemptBy(allowList);
  const loop = new FilterLoop({
    ...way,
    queue,
    flowsMax: settings.flowsMax,
    hashSeed: settings.hashSeed,
    allow: allowList,
    enforce: settings.policy.mode === 'enforce',
    encrypted: settings.policy.encrypted,
    swarm,
    counts,
    ...(saver === null ? {} : { onDetected: save }),
    sourceName: '',
    onDecision: (make) => box.take(make, reportsMax),
    onDoubt: (make) => box.take(make, doubtsMax),
  });
  tell({ kind: 'ready', threadId: threadId() });
  let heard = 0;
  let resolved = performance.now();
  while (Atomics.load(control, controlState) === stateRun) {
    loop.turn();
    saver?.publish();
    const decisions = box.empty();
    if (decisions !== null) tell({ kind: 'decisions', decisions });
    // An interface that comes back (ppp0, wg0) has another index.
    if (performance.now() - resolved > resolveMillis) {
      resolved = performance.now();
      allowList.resolveInterfaces(indexOf);
    }
    const sent = Atomics.load(control, controlMessages);
    if (sent !== heard) {
      heard = sent;
      hear(loop, swarm);
      Atomics.store(control, controlHeard, sent);
    }
  }
  if (Atomics.load(control, controlState) !== stateDrain) return;
  // What the kernel holds is let go; copies are still looked at.
  loop.draining = !passive;
  const until = performance.now() + drainMillis;
  while (loop.turn() > 0 && performance.now() < until) saver?.publish();
  saver?.publish();
  const last = box.empty();
  if (last !== null) tell({ kind: 'decisions', decisions: last });
}

/** It only makes the first packets faster: whatever goes wrong in it, the worker starts. */
function prepare(): void {
  try {
    rehearse({ ...way, encrypted: settings.policy.encrypted, allow: allowList });
  } catch (error) {
    process.emitWarning(`a worker starts unrehearsed: ${(error as Error).message}`);
  }
}

/** Opens the queue; what stands in the way is told with its code. */
function start(): PacketQueue | null {
  try {
    confineData(settings.processors);
    prepare();
    return open();
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    tell({ kind: 'failed', code: code ?? 'queue-failed', message });
    return null;
  }
}

const queue = start();
if (queue !== null) {
  try {
    run(queue);
  } finally {
    queue.close();
  }
}
