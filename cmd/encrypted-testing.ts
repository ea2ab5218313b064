/** Test support: whole conversations through an engine with all detectors and a memory of the swarm. */
import { registry } from '../detectors/index.js';
import { ActionPolicy, actions, type ActionName, type ActionOptions } from '../lib/engine/action.js';
import { Engine } from '../lib/engine/engine.js';
import type { EncryptedMode } from '../lib/engine/policy.js';
import { fakePacket } from '../lib/flow/testing.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import type { FlowReport } from '../lib/report/report.js';
import { concat, fromHex, fromText, SeededRandom } from '../lib/testing.js';
import { makeSwarmMemory, watchOver, type SwarmMemory } from './swarm-memory.js';

export type End = readonly [string, number];

/** `>` from the opener, `<` from the other side. */
export type Said = readonly ['>' | '<', Uint8Array];

/** From a seed: one random message in some thousand begins like another protocol. */
const source = new SeededRandom(0x5eed);
export const random = (length: number): Uint8Array => Uint8Array.from({ length }, () => source.below(256));

/** A handshake of BEP 3 of a torrent that nobody has. */
export const handshake = concat(
  fromText('\x13BitTorrent protocol'),
  new Uint8Array(8),
  random(20),
  fromText('-TR3000-'),
  random(12),
);

/** The lengths of an exchange of MSE, as a client with and without initial payload has them. */
export const mseLengths = [301, 361, 64, 130, 68] as const;

/** A conversation of random messages of these lengths, in turn. */
export const inTurn = (lengths: readonly number[]): Said[] =>
  lengths.map((length, i) => [i % 2 === 0 ? '>' : '<', random(length)]);

/** Mebibyte for mebibyte: what a peer sends once it talks. */
export const wholeMse = (): Said[] => [...inTurn(mseLengths), ['<', random(1448)], ['<', random(1448)]];

const syn = 2;
const synAck = 0x12;
const pshAck = 0x18;
const second = 1e6;

export class Town {
  readonly memory: SwarmMemory;
  readonly engine: Engine;
  readonly reports: FlowReport[] = [];
  /** Seconds since 1970. */
  now = 1_800_000_000;
  #frame = 0;

  constructor(encrypted: EncryptedMode = 'corroborated', memory = makeSwarmMemory(), reconsiders = false) {
    this.memory = memory;
    const flow = new EndedFlowView(() => 'test');
    this.engine = new Engine({
      registry,
      flowsMax: 4096,
      hashSeed: 1,
      details: true,
      swarm: watchOver(memory),
      encrypted,
      reconsiders,
      onEnd: (engine, slot) => {
        flow.show(engine, slot);
        this.reports.push(flow.report());
      },
    });
  }

  #send(fake: Parameters<typeof fakePacket>[0]): void {
    const packet = fakePacket(fake);
    packet.timeMicros = this.now * second;
    this.now += 0.001;
    this.engine.packet(packet, 60 + packet.payloadWireLength, ++this.#frame, 0);
  }

  /** A connection from its SYN on (`middle`: from its middle on); the flow stays open. */
  tcp(from: End, to: End, said: readonly Said[], middle = false): void {
    const next = { '>': 1000, '<': 2000 };
    if (!middle) {
      this.#send({ from, to, flags: syn, sequence: next['>'] - 1 });
      this.#send({ from: to, to: from, flags: synAck, sequence: next['<'] - 1 });
    }
    for (const [side, payload] of said) {
      const ends = side === '>' ? { from, to } : { from: to, to: from };
      this.#send({ ...ends, flags: pshAck, sequence: next[side], payload });
      next[side] += payload.length;
    }
  }

  /** The whole form of MSE as somebody writes it who only has the client's address: what it acknowledges was never said. */
  forge(from: End, to: End): void {
    const acknowledgement = 2361;
    this.#send({ from, to, flags: syn, sequence: 999 });
    this.#send({ from, to, flags: pshAck, sequence: 1000, acknowledgement: 2000, payload: random(301) });
    this.#send({ from, to, flags: pshAck, sequence: 1301, acknowledgement, payload: random(64) });
    this.#send({ from, to, flags: pshAck, sequence: 1365, acknowledgement, payload: random(68) });
  }

  /** A connection of which the messages are said one by one. */
  open(from: End, to: End): (said: Said) => void {
    this.tcp(from, to, []);
    const next = { '>': 1000, '<': 2000 };
    return ([side, payload]) => {
      const ends = side === '>' ? { from, to } : { from: to, to: from };
      this.#send({ ...ends, flags: pshAck, sequence: next[side], payload });
      next[side] += payload.length;
    };
  }

  /** One segment at its place in the stream of its side; `from` is the opener. */
  segment(from: End, to: End, side: '>' | '<', offset: number, payload: Uint8Array, flags = pshAck): void {
    const ends = side === '>' ? { from, to } : { from: to, to: from };
    this.#send({ ...ends, flags, sequence: (side === '>' ? 1000 : 2000) + offset, payload });
  }

  udp(from: End, to: End, said: readonly Said[]): void {
    for (const [side, payload] of said) {
      const ends = side === '>' ? { from, to } : { from: to, to: from };
      this.#send({ proto: 'udp', ...ends, payload });
    }
  }

  /** What the last flow from this address to that end became. Ends all flows. */
  flow(from: string, to: End): FlowReport {
    this.engine.flows.endAll();
    const found = this.reports.filter(
      ({ client, server, server_port }) => client === from && server === to[0] && server_port === to[1],
    );
    if (found.length === 0) throw new Error(`no flow from ${from} to ${to.join(':')}`);
    return found.at(-1)!;
  }

  verdict(from: string, to: End): string {
    return this.flow(from, to).verdict;
  }
}

const bytesOf = (address: string): number[] => address.split('.').map(Number);
const compact = ([address, port]: End): Uint8Array =>
  Uint8Array.from([...bytesOf(address), port >> 8, port & 255]);

const announce = fromText(
  `GET /announce?info_hash=${'%aa'.repeat(20)}&peer_id=-TR3000-abcdefghijkl&port=51413&uploaded=0&downloaded=0&left=1&compact=1 HTTP/1.1\r\nHost: t.example\r\n\r\n`,
);

/** A tracker's answer in compact form (BEP 23). */
function trackerAnswer(peers: readonly End[]): Uint8Array {
  const list = concat(...peers.map(compact));
  const body = concat(fromText(`d8:intervali1800e5:peers${list.length}:`), list, fromText('e'));
  const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n`;
  return concat(fromText(head), body);
}

const tracker: End = ['198.51.100.1', 6969];
export const learnsOf = (town: Town, who: string, peers: readonly End[], from: End = tracker): void => {
  town.tcp([who, 41000], from, [
    ['>', announce],
    ['<', trackerAnswer(peers)],
  ]);
};

/** A query of the DHT with which its sender says that peers find it on this port (BEP 5). */
export const announcePeer = (port: number): Uint8Array =>
  fromText(
    `d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti${port}e5:token4:abcde1:q13:announce_peer1:t2:aa1:y1:qe`,
  );

/** A ping in the DHT of Azureus, which names the address and port of its sender. */
export const azureusPing = ([address, port]: End): Uint8Array =>
  concat(
    fromHex('9eee79ad979dc767 00000400 afbbd6e5 36 00 00000000 36 04'),
    compact([address, port]),
    fromHex('3af6c099 000001a200219c95'),
  );

const id = (letter: string): Uint8Array => fromText(letter.repeat(20));
export const ping = concat(fromText('d1:ad2:id20:'), id('a'), fromText('e1:q4:ping1:t2:xx1:y1:qe'));
export const pong = concat(fromText('d1:rd2:id20:'), id('b'), fromText('e1:t2:xx1:y1:re'));
export const findNode = concat(
  fromText('d1:ad2:id20:'),
  id('a'),
  fromText('6:target20:'),
  id('c'),
  fromText('e1:q9:find_node1:t2:yy1:y1:qe'),
);
export function nodesAnswer(nodes: readonly End[]): Uint8Array {
  const list = concat(...nodes.flatMap((node, i) => [id(String.fromCharCode(101 + i)), compact(node)]));
  return concat(
    fromText('d1:rd2:id20:'),
    id('b'),
    fromText(`5:nodes${list.length}:`),
    list,
    fromText('e1:t2:yy1:y1:re'),
  );
}

/** One flow at a time through an engine with a memory, and what the filter does with it. */
export class Inline {
  /** What was reported to be done, in order. */
  readonly decided: ActionName[] = [];
  /** What was done with the last packet. */
  action: ActionName = 'pass';
  readonly #engine: Engine;
  readonly #policy: ActionPolicy;
  #from: End = ['0.0.0.0', 0];
  #to: End = ['0.0.0.0', 0];
  #proto: 'tcp' | 'udp' = 'tcp';
  #next = { '>': 1000, '<': 2000 };
  #frame = 0;

  constructor(options: Partial<ActionOptions> = {}) {
    this.#engine = new Engine({
      registry,
      flowsMax: 256,
      hashSeed: 1,
      swarm: watchOver(makeSwarmMemory()),
      onEnd: () => undefined,
    });
    const settings: ActionOptions = {
      default: 'drop',
      kinds: {},
      inspectedPackets: 32,
      inspectedPacketsClear: 8,
      blocks: true,
      allowedInfoHashes: new Set(),
      ...options,
    };
    this.#policy = new ActionPolicy(this.#engine, settings, (_slot, action) =>
      this.decided.push(actions[action]),
    );
  }

  /** The next flow, with its handshake if it is one of TCP. */
  opens(from: End, to: End, proto: 'tcp' | 'udp' = 'tcp'): this {
    this.#from = from;
    this.#to = to;
    this.#proto = proto;
    this.#next = { '>': 1000, '<': 2000 };
    if (proto === 'udp') return this;
    this.at('>', -1, new Uint8Array(0), syn);
    this.at('<', -1, new Uint8Array(0), synAck);
    return this;
  }

  /** The next message of a side. */
  say(side: '>' | '<', payload: Uint8Array): ActionName {
    const offset = this.#next[side] - (side === '>' ? 1000 : 2000);
    this.#next[side] += payload.length;
    return this.at(side, offset, payload);
  }

  /** The same in segments of at most `size` bytes; ends with the first that does not pass. */
  cut(side: '>' | '<', payload: Uint8Array, size: number): ActionName {
    let action: ActionName = 'pass';
    for (let i = 0; i < payload.length && action === 'pass'; i += size)
      action = this.say(side, payload.subarray(i, i + size));
    return action;
  }

  /** A segment at its place in the stream of its side. */
  at(side: '>' | '<', offset: number, payload: Uint8Array, flags = pshAck): ActionName {
    const packet = fakePacket({
      proto: this.#proto,
      from: side === '>' ? this.#from : this.#to,
      to: side === '>' ? this.#to : this.#from,
      flags,
      sequence: (side === '>' ? 1000 : 2000) + offset,
      payload,
    });
    packet.timeMicros = 1_800_000_000 * second + ++this.#frame * 1000;
    const verdict = this.#engine.packet(packet, 60 + payload.length, this.#frame, 0);
    const standing = this.#policy.standing(this.#engine.slot);
    const code = standing === 0 ? this.#policy.judge(this.#engine.slot, verdict) : standing;
    this.action = actions[code];
    return this.action;
  }
}
