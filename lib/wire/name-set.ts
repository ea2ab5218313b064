/**
 * Host names that an operator listed, ready for the data plane: one hash table in typed arrays, built once, asked without
 * allocation. A name is hashed from its end towards its beginning, so that one pass over `a.b.example.org` asks for
 * `org`, `example.org`, `b.example.org` and `a.b.example.org` in turn.
 *
 *     slots   [ -, 3, -, 0, 1, - ... ]   entry number + 1, 0 is free; linear probing, at most half full
 *     entry   hash | where in `text`, how long | which forms were listed
 *     text    "example.orgtracker.example.net..."
 *
 * The hash is keyed, since names on the wire are chosen by others: whoever does not know the key cannot find names that
 * share a chain with listed ones. A chain is as long as the longest one that was met when the table was built.
 */

/** The name itself. */
const formItself = 1;
/** Every name below it. */
const formBelow = 2;

/** Characters of a host name in text form (RFC 1035 section 2.3.4). */
export const nameBytesMax = 253;
const labelBytesMax = 63;
const dot = 0x2e;

/** Lower case of what a host name may hold, 0 for all other bytes. Underscores are in use, if not in RFC 952. */
const nameByte = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte).toLowerCase();
  return /^[a-z0-9_-]$/.test(character) ? character.charCodeAt(0) : 0;
});

/** Lower case of a byte that a label may hold, else 0. */
export function labelByte(byte: number): number {
  return nameByte[byte]!;
}

function mixed(hash: number): number {
  let h = hash ^ (hash >>> 15);
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 12);
}

export class NameSet {
  readonly #key: number;
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #hashes: Int32Array;
  readonly #starts: Int32Array;
  readonly #lengths: Uint8Array;
  readonly #forms: Uint8Array;
  readonly #text: Uint8Array;
  /** Slots that a search looks at, at most. */
  readonly #probes: number;

  /**
   * @param names lower-case ASCII without a dot at the end: `example.org` (itself and all below), `=example.org` (only
   * itself) or `*.example.org` (only those below)
   * @param key any 32-bit number that is not known to others
   */
  constructor(names: readonly string[], key: number) {
    const forms = new Map<string, number>();
    for (const name of names) {
      const [text, form] = formOf(name);
      forms.set(text, (forms.get(text) ?? 0) | form);
    }
    this.#key = key | 0;
    let slots = 4;
    while (slots < 2 * forms.size) slots *= 2;
    this.#slots = new Int32Array(slots);
    this.#mask = slots - 1;
    this.#hashes = new Int32Array(forms.size);
    this.#starts = new Int32Array(forms.size);
    this.#lengths = new Uint8Array(forms.size);
    this.#forms = Uint8Array.from(forms.values());
    const texts = [...forms.keys()];
    this.#text = new Uint8Array(texts.reduce((sum, { length }) => sum + length, 0));
    this.#probes = this.#fill(texts);
  }

  /** Enters all names; returns the longest chain. */
  #fill(texts: readonly string[]): number {
    let end = 0;
    let longest = 0;
    for (const [entry, text] of texts.entries()) {
      this.#starts[entry] = end;
      this.#lengths[entry] = text.length;
      for (let i = 0; i < text.length; i++) this.#text[end + i] = text.charCodeAt(i);
      let hash = this.#key;
      for (let i = text.length - 1; i >= 0; i--) hash = this.#step(hash, text.charCodeAt(i));
      end += text.length;
      this.#hashes[entry] = hash;
      let slot = mixed(hash) & this.#mask;
      let probes = 1;
      for (; this.#slots[slot] !== 0; slot = (slot + 1) & this.#mask) probes++;
      this.#slots[slot] = entry + 1;
      longest = Math.max(longest, probes);
    }
    return longest;
  }

  #step(hash: number, byte: number): number {
    const h = Math.imul(hash ^ byte, 0x01000193) ^ this.#key;
    return (h << 7) | (h >>> 25);
  }

  /**
   * Whether the host name in `[start, end)` is listed, itself or by a name above it. Letters of either case are equal, a
   * dot at the end is passed over, and what is no host name is not listed.
   */
  has(bytes: Uint8Array, start: number, end: number): boolean {
    const last = end > start && bytes[end - 1] === dot ? end - 1 : end;
    const length = last - start;
    if (this.#forms.length === 0 || length < 1 || length > nameBytesMax) return false;
    let hash = this.#key;
    let label = 0;
    let found = false;
    for (let i = last - 1; i >= start; i--) {
      let byte = nameByte[bytes[i]!]!;
      if (byte !== 0) {
        if (++label > labelBytesMax) return false;
      } else {
        if (bytes[i] !== dot || label === 0) return false;
        if (!found) found = this.#listed(hash, bytes, i + 1, last, formBelow);
        label = 0;
        byte = dot;
      }
      hash = this.#step(hash, byte);
    }
    return label > 0 && (found || this.#listed(hash, bytes, start, last, formItself));
  }

  /** Whether `[start, end)`, which has this hash, was listed in this form. */
  #listed(hash: number, bytes: Uint8Array, start: number, end: number, form: number): boolean {
    let slot = mixed(hash) & this.#mask;
    for (let probes = this.#probes; probes > 0; probes--) {
      const entry = this.#slots[slot]! - 1;
      if (entry < 0) return false;
      if (this.#hashes[entry] === hash && this.#equals(entry, bytes, start, end))
        return (this.#forms[entry]! & form) !== 0;
      slot = (slot + 1) & this.#mask;
    }
    return false;
  }

  #equals(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = this.#starts[entry]!;
    if (this.#lengths[entry] !== end - start) return false;
    for (let i = start; i < end; i++) {
      const byte = bytes[i] === dot ? dot : nameByte[bytes[i]!]!;
      if (byte !== this.#text[from + i - start]) return false;
    }
    return true;
  }
}

function formOf(name: string): [string, number] {
  if (name.startsWith('=')) return [name.slice(1), formItself];
  if (name.startsWith('*.')) return [name.slice(2), formBelow];
  return [name, formItself | formBelow];
}
