/**
 * Shannon entropy of a payload, for comparison only: no detector computes it. It costs more than all detectors of a
 * packet together, and 96 bytes of key exchange cannot reach the values that tell encryption from text.
 */

const counts = new Int32Array(256);
/** n * log2(n) for every count that a datagram can have. */
const terms = Float64Array.from({ length: 65_536 }, (_, n) => (n === 0 ? 0 : n * Math.log2(n)));

/** Bits per byte of `[start, end)`, 0 to 8; at most 65,535 bytes. */
export function entropy(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length <= 0) return 0;
  counts.fill(0);
  for (let i = start; i < end; i++) counts[bytes[i]!]!++;
  let sum = 0;
  for (let value = 0; value < 256; value++) sum += terms[counts[value]!]!;
  return Math.log2(length) - sum / length;
}
