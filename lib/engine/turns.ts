/**
 * Turns of a TCP conversation: who spoke first, and how many bytes each side said before the other spoke again. Kept with
 * the openings, so only for flows of which both sides are kept; told from sequence numbers, so a capture that was cut, or
 * a segment that was lost, changes nothing.
 */
import type { View } from '../../detectors/detector.js';
import { otherEndsStride, turnsOfSide, type OpeningPool } from '../flow/openings.js';
import { flagBaseClient, packetsOf, sBase, sFlags, sInspected, sOpening } from '../flow/table.js';
import type { Packet } from '../wire/packet.js';

/** More than this before the first word of a side says nothing about turns any more, bytes. */
const unseenMax = 1 << 20;

/**
 * Notes whose turn it is, in the openings and for the view.
 * @param s the flow's row in words
 * @param offset where the packet's payload begins in the stream of its side, as the openings count
 */
export function followTurns(
  view: View,
  pool: OpeningPool,
  words: Int32Array,
  s: number,
  side: number,
  packet: Packet,
  offset: number,
): void {
  const own = words[s + sOpening + side]!;
  const other = words[s + sOpening + 1 - side]!;
  const end = offset + packet.payloadWireLength;
  view.turn = 0;
  view.oneWay = false;
  if (own < 0) {
    if (offset !== 0) return;
    if (other >= 0) pool.endTurn(other);
    else if (words[s + sInspected + 1 - side] !== 0) return;
    const unseen = other < 0 ? acknowledgedAtFirst(words, s, side, packet) : 0;
    view.oneWay = unseen > 0;
    view.turn = other >= 0 || view.oneWay ? 2 : 1;
    if (view.turn === 2) view.turnBytes[0] = other >= 0 ? pool.turnBytes(other, 0) : unseen;
    view.turnBytes[view.turn - 1] = end;
    return;
  }
  // While the stream's first bytes are missing nothing is known; bytes behind a gap count when it is filled.
  if (pool.length[own] === 0) return;
  const silent = other < 0 && words[s + packetsOf + 1 - side] === 0;
  const before = pool.reached[own]!;
  const reached = Math.max(
    before,
    pool.length[own]!,
    offset <= Math.max(before, pool.length[own]!) ? end : 0,
  );
  if (reached > before) {
    if (other >= 0) pool.endTurn(other);
    else if (silent) endTurnByAcknowledgement(pool, own, packet);
    pool.reached[own] = reached;
  }
  const ended = pool.turnsEnded[own]!;
  if (ended === turnsOfSide) return;
  const isFirst = pool.first[own] === 1;
  if (other < 0 && !silent && (!isFirst || ended > 0)) return;
  view.oneWay = silent && (ended > 0 || !isFirst);
  view.turn = 2 * ended + (isFirst ? 1 : 2);
  for (let turn = 0; turn < view.turn; turn++) {
    const half = turn >> 1;
    const isOwn = ((turn & 1) === 0) === isFirst;
    if (isOwn) view.turnBytes[turn] = pool.turnBytes(own, half);
    else if (other >= 0) view.turnBytes[turn] = pool.turnBytes(other, half);
    else {
      const at = own * otherEndsStride + half;
      view.turnBytes[turn] = pool.otherEnds[at]! - (half === 0 ? 0 : pool.otherEnds[at - 1]!);
    }
  }
}

/** Notes a segment that came before the first of its side: the opening waits for that. */
export function awaitTurns(
  pool: OpeningPool,
  words: Int32Array,
  s: number,
  side: number,
  own: number,
  packet: Packet,
): void {
  pool.first[own] = words[s + sInspected + 1 - side] === 0 ? 1 : 0;
  pool.firstAcknowledged[own] = packet.acknowledgement;
}

/** Notes the first segment of a side, of which the opening was just taken. */
export function beginTurns(pool: OpeningPool, own: number, view: View, turn: number, packet: Packet): void {
  pool.reached[own] = packet.payloadWireLength;
  pool.first[own] = turn === 1 ? 1 : 0;
  const unseen = turn === 2 ? view.turnBytes[0]! : 0;
  pool.firstAcknowledged[own] = (packet.acknowledgement - unseen) | 0;
  pool.otherEnds[own * otherEndsStride] = unseen;
}

/** Bytes of the other side, of which no packet is seen, before this first segment: known if its beginning is. */
function acknowledgedAtFirst(words: Int32Array, s: number, side: number, packet: Packet): number {
  const other = 1 - side;
  if (words[s + packetsOf + other] !== 0 || (words[s + sFlags]! & (flagBaseClient << other)) === 0) return 0;
  const acknowledged = (packet.acknowledgement - words[s + sBase + other]!) | 0;
  return acknowledged > 0 && acknowledged < unseenMax ? acknowledged : 0;
}

/** As both, for the kept bytes of a side behind a negotiation with a proxy, which the client began. */
export function showTurn(
  view: View,
  pool: OpeningPool,
  own: number,
  side: number,
  client: number,
  packet: Packet,
): void {
  const isAnswer = side === 1 && client >= 0;
  if (isAnswer) pool.endTurn(client);
  pool.turnsEnded[own] = 0;
  pool.reached[own] = view.wireLength;
  pool.first[own] = isAnswer ? 0 : 1;
  pool.firstAcknowledged[own] = packet.acknowledgement;
  view.oneWay = false;
  view.turn = isAnswer ? 2 : 1;
  if (isAnswer) view.turnBytes[0] = pool.turnBytes(client, 0);
  view.turnBytes[view.turn - 1] = view.wireLength;
}

/** Only this direction is seen: that it acknowledges more than before shows that the other side spoke. */
function endTurnByAcknowledgement(pool: OpeningPool, own: number, packet: Packet): void {
  const ended = pool.turnsEnded[own]!;
  const place = ended + (pool.first[own] === 1 ? 0 : 1);
  const at = own * otherEndsStride + place;
  const acknowledged = (packet.acknowledgement - pool.firstAcknowledged[own]!) | 0;
  if (ended === turnsOfSide || acknowledged <= (place === 0 ? 0 : pool.otherEnds[at - 1]!)) return;
  pool.otherEnds[at] = acknowledged;
  pool.endTurn(own);
}
