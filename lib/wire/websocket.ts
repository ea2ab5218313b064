/**
 * WebSocket frames (RFC 6455 section 5.2) at the start of a byte range: the head is read in place, and a masked payload
 * is unmasked into one scratch of this module, whose content is valid until the next call.
 */

/** Not a whole frame head here. */
export const NoFrame = -1;

/** Bytes of a payload that are unmasked: enough for the members of a message that identify it. */
export const unmaskedBytesMax = 4096;

const finBit = 0x80;
const reservedBits = 0x70;
const maskBit = 0x80;

const unmasked = new Uint8Array(unmaskedBytesMax);

/** True if a text frame's head begins at `start`: text opcode, first or only fragment, no reserved bit (RFC 7692 sets one). */
export function isTextFrame(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start >= 2 && (bytes[start]! & ~finBit) === 0x01;
}

/** True if the two bytes can begin a frame: known opcode, no reserved bit. */
export function mayBeFrame(bytes: Uint8Array, start: number, end: number): boolean {
  if (start >= end) return false;
  const first = bytes[start]!;
  const opcode = first & 0x0f;
  return (first & reservedBits) === 0 && (opcode <= 2 || (opcode >= 8 && opcode <= 10));
}

/** True if the frame at `start` has a masked payload: clients mask, servers do not. Two bytes must be there. */
export function isMasked(bytes: Uint8Array, start: number): boolean {
  return (bytes[start + 1]! & maskBit) !== 0;
}

/** Where the payload of the frame at `start` begins, or NoFrame if the head is not whole. */
export function framePayload(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 2) return NoFrame;
  const length = bytes[start + 1]! & 0x7f;
  const size = 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (isMasked(bytes, start) ? 4 : 0);
  return end - start < size ? NoFrame : start + size;
}

/** Payload length of the frame at `start`, whose head is whole; lengths of 2^31 and more are answered as 2^31 - 1. */
export function frameLength(bytes: Uint8Array, start: number): number {
  const length = bytes[start + 1]! & 0x7f;
  if (length < 126) return length;
  if (length === 126) return (bytes[start + 2]! << 8) | bytes[start + 3]!;
  let high = 0;
  for (let i = 2; i < 6; i++) high |= bytes[start + i]!;
  if (high !== 0 || bytes[start + 6]! >= 0x80) return 0x7fffffff;
  return (bytes[start + 6]! << 24) | (bytes[start + 7]! << 16) | (bytes[start + 8]! << 8) | bytes[start + 9]!;
}

/** The payload byte at `payload + index` of a masked frame, without touching the others. */
export function unmaskedByte(bytes: Uint8Array, payload: number, index: number): number {
  return bytes[payload + index]! ^ bytes[payload - 4 + (index & 3)]!;
}

/** Unmasks `[payload, end)`, at most unmaskedBytesMax of it, into the scratch; answers how many bytes it holds. */
export function unmask(bytes: Uint8Array, payload: number, end: number): number {
  const length = Math.min(end - payload, unmaskedBytesMax);
  const key = payload - 4;
  for (let i = 0; i < length; i++) unmasked[i] = bytes[payload + i]! ^ bytes[key + (i & 3)]!;
  return length;
}

/** The scratch that `unmask` fills. */
export function unmaskedBytes(): Uint8Array {
  return unmasked;
}
