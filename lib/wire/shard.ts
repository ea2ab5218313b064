/**
 * Which worker a packet belongs to, told from the pair of its outermost IP addresses without decoding the rest, as
 * NFQUEUE's balance does: so both directions, all fragments and everything inside one tunnel stay together. Promises: nothing
 * outside `[start, end)` is read, nothing is thrown, nothing is allocated.
 *
 * Both addresses, the lower one first, are hashed multilinearly (see flow/keyed-hash.ts): whichever two pairs somebody
 * chooses, the secrets make them collide as seldom as chance does, so nobody can gather traffic on one worker at will.
 */
import { Cursor, stepEthernet, stepIpv4, stepIpv6, stepLink, stepPpp, type Step, word } from './cursor.js';
import { decodeEthernet, ethernetHeader, ethernetTypeAt } from './ethernet.js';
import { decodeLink, linkEthernet } from './link.js';
import { NotIp, Packet } from './packet.js';
import { decodePpp } from './ppp.js';

const ipv4Header = 20;
const ipv4SourceAt = 12;
const ipv6Header = 40;
const ipv6SourceAt = 8;
const ipv6Words = 4;

/** Link headers in each other; decodePacket follows as many steps in all. */
const stepsMax = 40;

/** What is not IP. */
const noAddress = 0;

/** A constant, then two halves of each word of two IPv6 addresses. */
const keys = new Int32Array(1 + 2 * 2 * ipv6Words);
let keysSeed = Number.NaN;

const cursor = new Cursor();
/** The readers of link headers note where addresses stand; nobody asks here. */
const scratch = new Packet();

/**
 * A number from 0 to 2^31 - 1, the same for both directions of a flow; 0 for what is not IP. `linkType` is a LINKTYPE_
 * value, `seed` any 32 bits. One bit less than a word has, because a larger number would be boxed by V8 on its way out.
 */
export function shardOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  linkType: number,
  seed: number,
): number {
  if (seed !== keysSeed) setKeys(seed);
  if (linkType === linkEthernet && end - start >= ethernetHeader) {
    const type = (bytes[start + ethernetTypeAt]! << 8) | bytes[start + ethernetTypeAt + 1]!;
    if (type === 0x0800) return ofIpv4(bytes, start + ethernetHeader, end);
    if (type === 0x86dd) return ofIpv6(bytes, start + ethernetHeader, end);
  }
  cursor.at = start;
  cursor.end = end;
  cursor.wireEnd = end;
  cursor.linkType = linkType;
  const step = skipLink(bytes);
  if (step === stepIpv4) return ofIpv4(bytes, cursor.at, end);
  return step === stepIpv6 ? ofIpv6(bytes, cursor.at, end) : noAddress;
}

/** Which of `workers` (up to 1024) has the packets of this shard; all get the same share. */
export function workerOf(shard: number, workers: number): number {
  return Math.imul(shard >>> 16, workers) >>> 15;
}

/** Moves the cursor behind all link headers, with the decoder's own readers. */
function skipLink(bytes: Uint8Array): Step {
  let step = decodeLink(scratch, bytes, cursor);
  for (let steps = 0; steps < stepsMax; steps++) {
    if (step === stepLink) step = decodeLink(scratch, bytes, cursor);
    else if (step === stepEthernet) step = decodeEthernet(scratch, bytes, cursor);
    else if (step === stepPpp) step = decodePpp(scratch, bytes, cursor);
    else return step;
  }
  return NotIp;
}

function ofIpv4(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < ipv4Header || bytes[at]! >> 4 !== 4) return noAddress;
  const source = word(bytes, at + ipv4SourceAt);
  const destination = word(bytes, at + ipv4SourceAt + 4);
  // Compared as signed words: any order will do. Sums are cut to 32 bits at once: larger ones would be boxed.
  const isFirst = source < destination;
  const sum = (keys[0]! + hashWord(1, isFirst ? source : destination)) | 0;
  return scramble((sum + hashWord(3, isFirst ? destination : source)) | 0);
}

function ofIpv6(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < ipv6Header || bytes[at]! >> 4 !== 6) return noAddress;
  const source = at + ipv6SourceAt;
  const destination = source + ipv6Words * 4;
  const isFirst = compareIpv6(bytes, source, destination) < 0;
  const first = isFirst ? source : destination;
  const second = isFirst ? destination : source;
  let sum = keys[0]!;
  for (let i = 0; i < ipv6Words; i++) {
    sum = (sum + hashWord(1 + 2 * i, word(bytes, first + 4 * i))) | 0;
    sum = (sum + hashWord(1 + 2 * (ipv6Words + i), word(bytes, second + 4 * i))) | 0;
  }
  return scramble(sum);
}

function compareIpv6(bytes: Uint8Array, a: number, b: number): number {
  for (let i = 0; i < ipv6Words * 4; i++) {
    const difference = bytes[a + i]! - bytes[b + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function hashWord(key: number, value: number): number {
  return (Math.imul(keys[key]!, value >>> 16) + Math.imul(keys[key + 1]!, value & 0xffff)) | 0;
}

/** The finisher of murmur3 without the highest bit: sums in a row, of addresses in a row, are spread over all workers. */
function scramble(sum: number): number {
  let h = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 1;
}

function setKeys(seed: number): void {
  keysSeed = seed;
  for (let i = 0; i < keys.length; i++) {
    let h = seed ^ Math.imul(i + 1, 0x9e3779b1);
    for (let round = 0; round < 2; round++) {
      h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
      h = h ^ (h >>> 16) ^ Math.imul(seed, 0x2c1b3c6d);
    }
    keys[i] = h;
  }
}
