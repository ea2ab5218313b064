/**
 * What a detector is: a pure function from a view of one packet of one flow to No, More or Yes. It keeps nothing,
 * throws never, allocates nothing, and imports only lib/wire and this file. State lives in the flow: what a detector
 * needs from earlier packets it finds in the two openings of the view.
 */

import { isGet, isRequestWorthReading, mayBecomeHttp, requestHeadWasOpen } from '../lib/wire/http.js';
import { PeerList } from '../lib/wire/peer-list.js';
import { hexDecode } from '../lib/wire/text.js';

/** `GET` and the space behind it. */
const getLength = 4;

/** Not this protocol (scope 'opening': final for this side; scope 'packets': for this packet). */
export const No = 0;
/** Could be, needs more: the engine keeps these bytes and asks again when this side has sent more. */
export const More = 1;
/** Recognised; `view.finding` says what exactly. */
export const Yes = 2;
export type Outcome = typeof No | typeof More | typeof Yes;

/** proof may decide alone; strong decides with a second, independent item; hint only adds to a strong one. */
export type Confidence = 'proof' | 'strong' | 'hint';
export type Transport = 'tcp' | 'udp';

/** What kind of BitTorrent traffic a flow is. Fixed vocabulary: report column, policy key and metric label. */
export const kinds = [
  'peer',
  'utp',
  'dht',
  'udp-tracker',
  'http-tracker',
  'lsd',
  'webtorrent',
  'web-seed',
  'torrent-file',
  'encrypted',
  'listed-name',
] as const;
export type Kind = (typeof kinds)[number];

/** One sentence that a detector can say, with the weight of exactly that sentence. */
export interface Finding {
  readonly text: string;
  readonly kind: Kind;
  readonly confidence: Confidence;
  /**
   * Strong findings only: said again about another packet of the same side it is independent evidence, because the two
   * packets had to fit each other. Without it a repetition says nothing new (a client that polls a feed twice).
   */
  readonly repeatable?: true;
  /**
   * For a finding that knows the transport and not what it carries: index of the finding, a hint, that it is on a flow
   * that was named as a protocol whose programs speak that transport too (`Registry.speaksUtp`).
   */
  readonly elsewhere?: number;
}

export type HeaderCheck = (bytes: Uint8Array, start: number, end: number, wireLength: number) => boolean;

export interface Detector {
  /** Lower case, dashes; unique. */
  readonly name: string;
  readonly transport: Transport;
  /** The highest confidence among its findings. */
  readonly confidence: Confidence;
  /** BEP, RFC or other specification, e.g. "BEP 3, BEP 52". */
  readonly reference: string;
  /** One line for `swarmgate detectors`. */
  readonly summary: string;
  /** What it cannot see or deliberately does not believe, one line. */
  readonly limits: string;
  /** 'opening': reads one side's first bytes, in order. 'packets': looks at every payload packet on its own. */
  readonly scope: 'opening' | 'packets';
  /** Payload packets per side after which it is no longer asked, 1 to 64 (limits.inspectedPacketsMax). */
  readonly packetsMax: number;
  /**
   * Bytes that a payload must begin with for this detector to say Yes, or to want more of it, while nothing of its side
   * is kept; null if it can begin with any. The engine spares itself the call for all others.
   */
  readonly firstBytes: readonly number[] | null;
  /**
   * TCP only: bytes (limits.beginningBytes) with which a stream begins that is this protocol's, and the finding that they
   * prove alone. The engine follows them by position, however they are cut, ordered or contradicted by other copies. One
   * detector at the most has this.
   */
  readonly beginning?: { readonly bytes: Uint8Array; readonly finding: number };
  /** TCP only: run on flows whose start was not seen, on those whose start was seen, or on all. */
  readonly where: 'start' | 'middle' | 'anywhere';
  /** TCP: also after Yes the openings of both sides are kept, as after More: what comes next says more. */
  readonly follows?: true;
  /**
   * After the verdict it is still asked for a while, about what others can learn from: peers that are named, a port that
   * is listened on, the other side's own proof.
   */
  readonly teaches?: true;
  /**
   * UDP only: what every message of this protocol has in its fixed part, told without a view. False means that `inspect`
   * would answer No to this payload, and name no near miss, whatever else it were shown: the engine spares itself the call.
   * `wireLength` is the payload's length on the wire.
   */
  readonly header?: HeaderCheck;
  readonly findings: readonly Finding[];
  /** Why something that looked like this protocol was not believed; `view.near` is an index into this list. */
  readonly nearMisses: readonly string[];
  inspect(view: View): Outcome;
}

/** Turns of a conversation that are told apart. */
export const turnsMax = 6;

const nothing = new Uint8Array(0);

/**
 * What a detector sees. One instance per engine, reused for every packet. All offsets are absolute in their array;
 * `start <= end <= bytes.length` always holds, and a detector must not read outside its ranges. All arrays are plain
 * Uint8Array (never Buffer: a function fed with both runs 5 times slower).
 */
export class View {
  /** This packet's payload. */
  bytes: Uint8Array = nothing;
  start = 0;
  end = 0;
  /** Payload length on the wire, bytes; larger than `end - start` when the capture was cut by a snap length. */
  wireLength = 0;

  /**
   * This side's opening. TCP: the contiguous bytes of the stream from its first seen byte, this packet included (the
   * same range as the payload for a first packet); empty when nothing is kept any more. UDP: the datagram of this side
   * that a detector last answered More to, without this one; empty if none.
   */
  opening: Uint8Array = nothing;
  openingStart = 0;
  openingEnd = 0;
  /** UDP: wire length of the kept datagram. TCP: same as its kept length. */
  openingWireLength = 0;

  /** The other side's opening: TCP as above; UDP its kept datagram. Empty if none. */
  other: Uint8Array = nothing;
  otherStart = 0;
  otherEnd = 0;
  otherWireLength = 0;

  /** True if this side opened the flow (sent the SYN, or the first packet seen). */
  fromClient = true;
  /** TCP: the SYN of this side was seen, so the opening begins at the stream's first byte. UDP: true. */
  fromStart = true;
  /** Number of this payload packet on its side, from 1. */
  payloadPacket = 1;
  /** IP version of this packet, 4 or 6: the innermost one where it is tunnelled. */
  ipVersion = 4;
  sourcePort = 0;
  destinationPort = 0;

  /**
   * TCP, from the first packet to which a detector answered More on: whose turn it is. The two sides speak in turns;
   * 1 is the first message of the flow, 2 the first of the other side, 3 the next of the first side, and so on up to
   * `turnsMax`. 0 while nothing is kept, or when the beginning of the flow was not seen.
   */
  turn = 0;
  /**
   * Stream bytes of turn `i + 1` so far, on the wire, this packet included; valid for `i < turn`. Known from sequence
   * numbers, so cut captures do not shorten them; where only one direction is captured, the other side's turns are
   * known from the acknowledgement numbers.
   */
  readonly turnBytes: Int32Array = new Int32Array(turnsMax);
  /** Only one direction of this flow has been seen: of TCP although it went on, of UDP so far. */
  oneWay = false;

  // Filled by a detector before it answers Yes (or, for `near`, No or More).

  /** Index into the detector's findings. */
  finding = 0;
  /** Where the matched bytes begin, relative to the start of the payload or of the opening. */
  at = 0;
  /** Matched bytes. */
  length = 0;
  /** True if `at` counts from the opening's start, false if from the payload's. */
  inOpening = false;
  /**
   * Index into the detector's nearMisses, or -1. Read after No, and after More for what is a near miss if nothing more
   * comes; it is forgotten when the same detector says Yes later.
   */
  near = -1;
  /** Info-hash, 20 bytes (v1, or truncated v2) or 32 (v2); length 0 when none. */
  readonly infoHash: Uint8Array = new Uint8Array(32);
  infoHashLength = 0;
  /** Client software as the peer names itself: peer-id prefix, `v` string or User-Agent; length 0 when none. */
  readonly client: Uint8Array = new Uint8Array(32);
  clientLength = 0;
  /** Addresses of other peers that this message names; read after Yes. */
  readonly peers: PeerList = new PeerList();
  /** Port on which the sender of this message says it listens for peers, 1 to 65535; 0 if it does not say. */
  listenPort = 0;

  /** Clears what the last detector filled in. */
  reset(): void {
    this.finding = 0;
    this.at = 0;
    this.length = 0;
    this.inOpening = false;
    this.near = -1;
    this.infoHashLength = 0;
    this.clientLength = 0;
    this.peers.count = 0;
    this.listenPort = 0;
  }
}

/** Answers Yes with a finding whose bytes are `[from, to)` of the payload. */
export function yesInPayload(view: View, finding: number, from: number, to: number): Outcome {
  view.finding = finding;
  view.at = from - view.start;
  view.length = to - from;
  view.inOpening = false;
  return Yes;
}

/** Answers Yes with a finding whose bytes are `[from, to)` of this side's opening. */
export function yesInOpening(view: View, finding: number, from: number, to: number): Outcome {
  view.finding = finding;
  view.at = from - view.openingStart;
  view.length = to - from;
  view.inOpening = true;
  return Yes;
}

/** Answers No and names why something that resembled the protocol was not believed. */
export function nearMiss(view: View, reason: number): Outcome {
  view.near = reason;
  return No;
}

/** Notes the info-hash at `[from, from + length)`; length 20 or 32. */
export function noteInfoHash(view: View, bytes: Uint8Array, from: number, length: number): void {
  const { infoHash } = view;
  for (let i = 0; i < length; i++) infoHash[i] = bytes[from + i]!;
  view.infoHashLength = length;
}

/** Notes the info-hash written as hexadecimal digits at `[from, to)`, 40 or 64 of them. */
export function noteHexInfoHash(view: View, bytes: Uint8Array, from: number, to: number): void {
  if (hexDecode(bytes, from, to, view.infoHash)) view.infoHashLength = (to - from) / 2;
}

/** Notes the client software named at `[from, to)`, cut to 32 bytes. */
export function noteClient(view: View, bytes: Uint8Array, from: number, to: number): void {
  const { client } = view;
  const length = Math.min(to - from, client.length);
  for (let i = 0; i < length; i++) client[i] = bytes[from + i]!;
  view.clientLength = length;
}

/** Judges the GET request that begins at `start`. `waits` says whether more of its head will be shown with this. */
export type RequestJudge = (
  view: View,
  bytes: Uint8Array,
  start: number,
  end: number,
  inOpening: boolean,
  waits: boolean,
) => Outcome;

const letterG = 0x47;

/** The request at hand, for detectors of requests: the one this payload begins, or the kept one that it carries on. */
export function judgeGetRequest(view: View, judge: RequestJudge): Outcome {
  const { bytes, start, end, opening, openingStart, openingEnd } = view;
  const length = end - start;
  const kept = openingEnd - openingStart;
  if (isGet(bytes, start, end)) {
    const waits = (kept === length || kept === 0) && view.wireLength === length;
    return judge(view, bytes, start, end, false, waits);
  }
  // A first segment of one to three bytes, which may become a request.
  if (kept <= length && length < getLength) return mayBecomeHttp(bytes, start, end) ? More : No;
  if (kept <= length || opening[openingStart] !== letterG) return No;
  if (!isRequestWorthReading(opening, openingStart, openingEnd, length, view.payloadPacket)) return More;
  if (!requestHeadWasOpen(opening, openingStart, openingEnd, length)) return No;
  return isGet(opening, openingStart, openingEnd)
    ? judge(view, opening, openingStart, openingEnd, true, true)
    : No;
}
