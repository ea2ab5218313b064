/** Latin-1 text in byte ranges: comparisons and searches that read only `[start, end)` and allocate nothing. */

/** True if `[start, end)` begins with `text` (bytes equal). */
export function startsWith(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start < text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
  return true;
}

/** Literal ASCII text as bytes, for constants beside the code that compares with them. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
