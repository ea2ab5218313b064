/**
 * Which packets only acknowledge: TCP without payload, of SYN, FIN, RST and ACK only ACK set (RFC 9293). They are about
 * a third of the packets of a transfer, and no detector has anything to read in them, so those of undecided flows are
 * left to the kernel. The length in the IP header decides, not the packet's own: padding is no payload. Whatever is not
 * plainly such a packet goes to the queue: fragments, malformed headers, IPv6 with extension headers, packets without a
 * length of their own (RFC 2675, and those that the kernel has merged beyond 64 KiB).
 */

/** An instruction of classic BPF (linux: bpf_common.h), with the names of others to jump to instead of distances. */
interface Instruction {
  readonly name?: string;
  readonly code: number;
  readonly k?: number;
  /** Where a test leads; the next instruction if left out. */
  readonly yes?: string;
  readonly no?: string;
}

const loadByte = 0x30;
const loadHalf = 0x28;
/** Of a byte behind X. */
const loadByteBehind = 0x50;
/** X becomes four times the low half of a byte: the length of an IPv4 header. */
const loadHeaderLength = 0xb1;
const and = 0x54;
const shiftRight = 0x74;
const addX = 0x0c;
const copyToX = 0x07;
const isEqual = 0x15;
const isEqualToX = 0x1d;
const hasBits = 0x45;
const answer = 0x06;

const tcp = 6;
const finSynRstAck = 0x17;
const ack = 0x10;
/** More fragments, and the offset. */
const fragmentBits = 0x3fff;
const dataOffsetAt = 12;
const flagsAt = 13;
const ipv6HeaderBytes = 40;

/** The data offset is the upper half of its byte, in words of four bytes. */
const dataOffsetBytes: readonly Instruction[] = [
  { code: shiftRight, k: 2 },
  { code: and, k: 0x3c },
];

const program: readonly Instruction[] = [
  { code: loadByte, k: 0 },
  { code: shiftRight, k: 4 },
  { code: isEqual, k: 4, no: 'six' },
  { code: loadHeaderLength, k: 0 },
  { code: loadHalf, k: 6 },
  { code: hasBits, k: fragmentBits, yes: 'other' },
  { code: loadByteBehind, k: flagsAt },
  { code: and, k: finSynRstAck },
  { code: isEqual, k: ack, no: 'other' },
  { code: loadByteBehind, k: dataOffsetAt },
  ...dataOffsetBytes,
  { code: addX },
  { code: copyToX },
  { code: loadHalf, k: 2 },
  { code: isEqualToX, yes: 'acknowledgement', no: 'other' },
  { name: 'six', code: isEqual, k: 6, no: 'other' },
  { code: loadByte, k: 6 },
  { code: isEqual, k: tcp, no: 'other' },
  { code: loadByte, k: ipv6HeaderBytes + flagsAt },
  { code: and, k: finSynRstAck },
  { code: isEqual, k: ack, no: 'other' },
  { code: loadByte, k: ipv6HeaderBytes + dataOffsetAt },
  ...dataOffsetBytes,
  { code: copyToX },
  { code: loadHalf, k: 4 },
  { code: isEqualToX, yes: 'acknowledgement', no: 'other' },
  { name: 'acknowledgement', code: answer, k: 1 },
  { name: 'other', code: answer, k: 0 },
];

/**
 * For iptables' match `bpf` (iptables-extensions(8)), of packets whose protocol is TCP, the same for IPv4 and IPv6. A
 * load from beyond the packet ends the program with "no".
 */
export const acknowledgementBytecode = assembled(program);

function assembled(instructions: readonly Instruction[]): string {
  const distance = (from: number, to: string | undefined): number =>
    to === undefined ? 0 : instructions.findIndex(({ name }) => name === to) - from - 1;
  const lines = instructions.map(
    ({ code, k = 0, yes, no }, i) => `${code} ${distance(i, yes)} ${distance(i, no)} ${k}`,
  );
  return [`${instructions.length}`, ...lines].join(',');
}

/**
 * Words of four bytes in a TCP header: nothing behind the fixed part; one to four ranges of SACK (8, 10, 12, 14; RFC 2018); a
 * timestamp alone (8; RFC 7323) and with one to three ranges (11, 13, 15).
 */
const usualDataOffsets = [5, 8, 10, 11, 12, 13, 14, 15];
const ipv4HeaderWords = 5;
const unfragmented = `ip frag-off & 0x${fragmentBits.toString(16)} == 0 ip hdrlength ${ipv4HeaderWords}`;

/**
 * For nft, which cannot add: the usual lengths of such packets' headers, one rule for each, in a chain for packets with
 * ACK alone. Others go to the queue.
 */
export const acknowledgementRules: readonly string[] = [
  ...usualDataOffsets.map(
    (words) => `${unfragmented} ip length ${4 * (ipv4HeaderWords + words)} tcp doff ${words} accept`,
  ),
  ...usualDataOffsets.map((words) => `ip6 nexthdr tcp ip6 length ${4 * words} tcp doff ${words} accept`),
];
