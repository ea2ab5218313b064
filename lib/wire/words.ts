/** Big-endian numbers in byte ranges; the caller has checked that the bytes are there. */

/** Unsigned, 16 bits. */
export function word16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** 32 bits, signed, so that it stays a small integer in V8 where it can. */
export function word32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
