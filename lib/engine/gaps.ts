/** Where a TCP stream begins, as far as its first segments tell: reordered, or with a gap before them. */
import { flagRebasedClient, flagSynClient, sFlags, sInspected } from '../flow/table.js';
import { openingBytes } from '../limits.js';

/** Payload packets of a side by which an earlier one than its first may still arrive. */
const earlierPackets = 2;

/** True if this side's stream is known from its first byte on: its SYN was seen, and no gap is open behind it. */
export function isFromStart(flags: number, side: number): boolean {
  return ((flags >> side) & (flagSynClient | flagRebasedClient)) === flagSynClient;
}

/**
 * True if, on a side whose SYN was not seen, this segment shows that the first seen one was not the stream's first: it
 * lies shortly before it (reordered), or right behind a single byte (a keep-alive probe). Believed once.
 */
export function beginsEarlier(
  words: Int32Array,
  s: number,
  side: number,
  offset: number,
  length: number,
  consumed: number,
): boolean {
  if ((words[s + sFlags]! & ((flagSynClient | flagRebasedClient) << side)) !== 0 || consumed === 0)
    return false;
  if (words[s + sInspected + side]! > earlierPackets) return false;
  return (offset < 0 && offset > -openingBytes && length > 1) || (offset === 1 && consumed === 1);
}

/**
 * True, once, for the first segment of a side whose SYN was seen and whose first bytes are missing: lost by the capture,
 * or late. Until they come the side is shown as one seen from the middle.
 */
export function opensGap(
  words: Int32Array,
  s: number,
  side: number,
  offset: number,
  consumed: number,
): boolean {
  if (offset <= 0 || consumed !== 0 || !isFromStart(words[s + sFlags]!, side)) return false;
  words[s + sFlags]! |= flagRebasedClient << side;
  return true;
}

/** The first bytes have come. */
export function closeGap(words: Int32Array, s: number, side: number): void {
  if ((words[s + sFlags]! & (flagSynClient << side)) !== 0)
    words[s + sFlags]! &= ~(flagRebasedClient << side);
}
