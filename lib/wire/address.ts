/** IP addresses as text: dotted decimal, and the canonical form of RFC 5952. Reports only. */

export function ipv4Text(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 0xff}.${(word >>> 8) & 0xff}.${word & 0xff}`;
}

/** Four big-endian words to RFC 5952 text: lower case, the longest run of two or more zero groups as `::`. */
export function ipv6Text(word0: number, word1: number, word2: number, word3: number): string {
  const groups: number[] = [];
  for (const word of [word0, word1, word2, word3]) groups.push(word >>> 16, word & 0xffff);
  if (word0 === 0 && word1 === 0 && word2 === 0xffff) return `::ffff:${ipv4Text(word3)}`;
  let bestAt = -1;
  let bestLength = 1;
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length++;
    if (length > bestLength) {
      bestAt = at;
      bestLength = length;
    }
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return bestAt < 0 ? text(0, 8) : `${text(0, bestAt)}::${text(bestAt + bestLength, 8)}`;
}

/** The address whose words begin at `at`: one word for version 4, four for version 6. */
export function addressText(version: number, words: Int32Array, at: number): string {
  return version === 4
    ? ipv4Text(words[at]!)
    : ipv6Text(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
}

/**
 * Parses an address to its words (one or four). IPv4 as four decimal numbers, IPv6 with `::` and an embedded IPv4 tail.
 * @returns null if it is not an address
 */
export function parseAddress(text: string): number[] | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** A leading zero is refused: some programs read such a number as octal (RFC 6943, section 3.1.1). */
function parseIpv4(text: string): number[] | null {
  const numbers = text.split('.');
  if (numbers.length !== 4 || !numbers.every((number) => /^(0|[1-9]\d{0,2})$/.test(number))) return null;
  const parts = numbers.map(Number);
  if (parts.some((part) => part > 255)) return null;
  return [parts.reduce((word, part) => (word << 8) | part, 0)];
}

function parseIpv6(text: string): number[] | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 1 ? [] : parseGroups(halves[1]!, true);
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return [0, 2, 4, 6].map((i) => (groups[i]! << 16) | groups[i + 1]!);
}

/** Groups of 16 bits between colons; the last part may be an IPv4 address if the text ends the whole address. */
function parseGroups(text: string, atEnd: boolean): number[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const word = atEnd && index === parts.length - 1 ? parseIpv4(part) : null;
    if (word === null) return null;
    groups.push(word[0]! >>> 16, word[0]! & 0xffff);
  }
  return groups;
}
