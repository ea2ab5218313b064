/** What passes before a verdict, and what passes without one though something spoke for BitTorrent. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { kinds } from '../detectors/detector.js';
import { registry } from '../detectors/index.js';
import { counterAt, countersLength, verdictsAt, type CounterName } from '../lib/engine/counters.js';
import { Suspect } from '../lib/engine/verdict.js';
import { markMaskDefault } from '../lib/firewall/marks.js';
import { EndpointMemory } from '../lib/flow/endpoint-memory.js';
import { HostEvidence } from '../lib/flow/host-evidence.js';
import { MemoryQueue } from '../lib/io/memory-queue.js';
import { explainLive, type LiveExplanation } from '../lib/report/explain-live.js';
import { concat, fromText } from '../lib/testing.js';
import { ipv4, tcp, udp } from '../lib/wire/testing.js';
import type { FilterLoopOptions } from './filter-loop-options.js';
import { FilterLoop } from './filter-loop.js';
import type { DecisionMessage } from './filter-settings.js';
import { packetBetween } from './flow-lookup.js';
import { makeSwarmMemory, watchOver, type SwarmMemory } from './swarm-memory.js';
import { SwarmReader } from './swarm-status.js';

const client = 0x0a000005;
const server = 0xcb007107 | 0;
const ends = { proto: 'tcp', a: '10.0.0.5', a_port: 40001, b: '203.0.113.7', b_port: 51413 } as const;
const startMicros = 1.8e15;

/** The same bytes each time, and nothing about them is regular. */
function noise(seed: string, length: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash('sha256').update(`${seed} ${i}`).digest(),
  );
  return concat(...blocks).subarray(0, length);
}

class Wire {
  readonly counts = new Float64Array(countersLength);
  readonly reports: DecisionMessage[] = [];
  readonly loop: FilterLoop;
  takes = true;
  micros = startMicros;
  readonly #queue = new MemoryQueue();
  readonly #next = { '>': 1000, '<': 2000 };

  constructor(options: Partial<FilterLoopOptions> = {}, inspectedPackets = 4) {
    const take = (make: () => DecisionMessage): boolean => {
      if (this.takes) this.reports.push(make());
      return this.takes;
    };
    this.loop = new FilterLoop({
      queue: this.#queue,
      registry,
      markMask: markMaskDefault,
      pass: 'repeat',
      flowsMax: 1024,
      hashSeed: 7,
      action: {
        default: 'drop',
        kinds: {},
        inspectedPackets,
        inspectedPacketsClear: inspectedPackets,
        blocks: true,
        allowedInfoHashes: new Set(),
      },
      allow: { matches: () => false, matchesInterface: () => false, matchesMac: () => false },
      enforce: true,
      counts: this.counts,
      sourceName: '',
      onDecision: take,
      onDoubt: take,
      ...options,
    });
  }

  count(name: CounterName): number {
    return this.counts[counterAt(name)]!;
  }

  #send(bytes: Uint8Array): void {
    this.micros += 1000;
    this.#queue.feed({ bytes, timeMicros: this.micros, inInterface: 3, outInterface: 4 });
    while (this.loop.turn() > 0);
  }

  /** A segment of the one TCP connection of `ends`, from its client (`>`) or server; with SYN it begins. */
  tcp(side: '>' | '<', payload: Uint8Array, flags = 0x18): void {
    const { a_port, b_port } = ends;
    const segment = tcp(payload, side === '>' ? [a_port, b_port] : [b_port, a_port]);
    const view = new DataView(segment.buffer, segment.byteOffset);
    view.setUint32(4, this.#next[side]);
    segment[13] = flags;
    this.#next[side] += payload.length + ((flags & 2) === 0 ? 0 : 1);
    this.#send(this.#between(side, 6, segment));
  }

  handshake(): void {
    this.tcp('>', new Uint8Array(0), 2);
    this.tcp('<', new Uint8Array(0), 0x12);
  }

  udp(payload: Uint8Array, port = 6881): void {
    this.#send(this.#between('>', 17, udp(payload, [40001, port])));
  }

  #between(side: '>' | '<', protocol: number, payload: Uint8Array): Uint8Array {
    const packet = ipv4(protocol, payload, { source: side === '>' ? client : server });
    new DataView(packet.buffer, packet.byteOffset).setInt32(16, side === '>' ? server : client);
    return packet;
  }
}

const peerHandshake = concat(fromText('\x13BitTorrent protocol'), noise('handshake', 48));
/** A message of the DHT without its transaction id. */
const nearlyDht = fromText('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe');

describe('the leak', () => {
  test('a flow that falls at its first payload leaks nothing', () => {
    const wire = new Wire();
    wire.handshake();
    wire.tcp('>', peerHandshake);
    assert.equal(wire.count('flowsFirstPacket'), 1);
    assert.equal(wire.count('payloadBeforeVerdict'), 0);
    assert.equal(wire.reports[0]!.flow.payload_bytes_before_decision, 0);
  });

  test('payload before the deciding packet is counted once, and what follows is not', () => {
    const wire = new Wire();
    wire.handshake();
    wire.tcp('<', fromText('hello'));
    wire.tcp('>', peerHandshake);
    wire.tcp('>', peerHandshake);
    assert.equal(wire.reports.length, 1);
    assert.equal(wire.reports[0]!.flow.payload_bytes_before_decision, 5);
    assert.equal(wire.count('payloadBeforeVerdict'), 5);
    assert.equal(wire.count('flowsFirstPacket'), 0);
  });
});

describe('doubtful flows', () => {
  test('a suspect that is let go is told once, with its evidence', () => {
    const wire = new Wire({}, 1);
    wire.handshake();
    wire.tcp('>', noise('a', 301));
    wire.tcp('<', noise('b', 361));
    wire.tcp('>', noise('c', 64));
    wire.tcp('<', noise('d', 130));
    const [report] = wire.reports;
    assert.equal(wire.reports.length, 1);
    assert.equal(report!.action, 'pass');
    assert.deepEqual([report!.inInterface, report!.outInterface], [3, 4]);
    assert.equal(report!.flow.verdict, 'suspect');
    assert.equal(report!.flow.ended, undefined);
    assert.equal(report!.flow.evidence[0]!.detector, 'mse');
    assert.equal(wire.count('flowsDoubtful'), 1);
    assert.equal(wire.counts[verdictsAt + Suspect], 1);
    assert.equal(wire.count('payloadBeforeVerdict'), 0);
  });

  test('so is a flow with near misses only', () => {
    const wire = new Wire();
    for (let i = 0; i < 8; i++) wire.udp(nearlyDht);
    assert.deepEqual(
      wire.reports.map(({ action, flow }) => [action, flow.verdict, flow.reason, flow.evidence.length]),
      [['pass', 'unknown', 'nothing-matched', 0]],
    );
    assert.equal(wire.reports[0]!.flow.near_misses[0]!.detector, 'dht');
  });

  test('a flow in doubt that nobody answers is one flow, however slow', () => {
    const wire = new Wire({}, 64);
    for (let i = 0; i < 6; i++) {
      wire.udp(nearlyDht);
      wire.micros += 31e6;
    }
    assert.equal(wire.reports.length, 0);
    assert.equal(wire.count('flowsBegun'), 1);
  });

  test('and one that ends before it was let go', () => {
    const wire = new Wire();
    wire.udp(nearlyDht);
    assert.equal(wire.reports.length, 0);
    wire.micros += 600e6;
    for (let i = 0; i < 500; i++) wire.udp(new Uint8Array(0), 1 + i);
    const [report] = wire.reports;
    assert.equal(wire.reports.length, 1);
    assert.equal(report!.action, 'pass');
    assert.equal(report!.timeMicros, startMicros + 1000);
    assert.deepEqual([report!.inInterface, report!.outInterface], [0, 0]);
    assert.equal(report!.flow.ended, 'idle');
    assert.equal(wire.count('flowsDoubtful'), 1);
  });

  test('not those that begin anew after a reload, nor allowed, ordinary and decided ones', () => {
    const forgotten = new Wire();
    forgotten.udp(nearlyDht);
    forgotten.loop.forget();
    const allowed = new Wire({
      allow: { matches: () => true, matchesInterface: () => false, matchesMac: () => false },
    });
    for (let i = 0; i < 8; i++) allowed.udp(nearlyDht);
    const ordinary = new Wire();
    for (let i = 0; i < 8; i++) ordinary.udp(fromText('game state'));
    const decided = new Wire();
    decided.handshake();
    decided.tcp('>', peerHandshake);
    for (const wire of [forgotten, allowed, ordinary, decided]) assert.equal(wire.count('flowsDoubtful'), 0);
    assert.deepEqual(
      decided.reports.map(({ action }) => action),
      ['drop'],
    );
  });

  test('what nobody takes is counted', () => {
    const wire = new Wire();
    wire.takes = false;
    for (let i = 0; i < 8; i++) wire.udp(nearlyDht);
    assert.equal(wire.count('flowsDoubtful'), 1);
    assert.equal(wire.count('doubtsLeftOut'), 1);
    assert.equal(wire.count('reportsLeftOut'), 0);
  });
});

describe('a live flow explained with the memory of the swarm', () => {
  const seconds = startMicros / 1e6;
  const explained = (wire: Wire, memory: SwarmMemory): string => {
    const flow = wire.loop.find(packetBetween(ends)!);
    const reader = new SwarmReader(memory);
    const about = [
      reader.about(ends.a, ends.a_port, ends.b, seconds),
      reader.about(ends.b, ends.b_port, ends.a, seconds),
    ];
    const live: LiveExplanation = {
      ...{ flow, decision: null, doubt: null, worker: 0 },
      memory: about.filter((end) => end !== null),
    };
    return explainLive(live, { colour: false, columns: 200 })!;
  };

  test('what witnesses said, and what is known of both ends', () => {
    const memory = makeSwarmMemory();
    const swarm = watchOver(memory);
    const wire = new Wire({ swarm }, 32);
    const view = new SwarmReader(memory);
    assert.equal(view.about(ends.b, ends.b_port, ends.a, seconds)!.endpoint, 'unknown');
    nameByAnother(memory, seconds);
    assert.equal(view.about(ends.b, ends.b_port, ends.a, seconds)!.endpoint, 'named');
    wire.handshake();
    wire.tcp('>', noise('a', 301));
    const text = explained(wire, memory);
    assert.match(text, /What was seen[^]*detector mse[^]*detector endpoint-memory: /);
    assert.match(text, /this address and port were named as a peer to this host or its neighbours/);
    assert.match(text, /What is remembered of its two ends now/);
    assert.match(
      text,
      /10\.0\.0\.5:40001: not known as a peer; the host spoke dht with about 1 network, last 0/,
    );
    assert.match(
      text,
      /203\.0\.113\.7:51413: named as a peer; no BitTorrent of this host a short while ago\./,
    );
  });

  test('near misses, with their reason', () => {
    const memory = makeSwarmMemory();
    const wire = new Wire({}, 32);
    wire.handshake();
    wire.tcp('>', noise('a', 900));
    const text = explained(wire, memory);
    assert.match(text, /What looked like BitTorrent and was not believed/);
    assert.match(
      text,
      /random bytes from the first byte on, but the first message is longer than a key of MSE/,
    );
  });
});

/** Somebody told 10.0.0.5, which speaks DHT, of the server. */
function nameByAnother(memory: SwarmMemory, seconds: number): void {
  const endpoints = new EndpointMemory(memory.endpoints, memory.seed);
  const hosts = new HostEvidence(memory.hosts, memory.seed);
  const speaker = endpoints.speakerOf(4, 0xc6336401 | 0, 0);
  const listener = endpoints.speakerOf(4, client, 0);
  endpoints.name(4, server, 0, 0, 0, ends.b_port, speaker, listener, seconds);
  hosts.note(4, client, 0, 0, 0, 0, kinds.indexOf('dht'), speaker, seconds);
}
