/**
 * Host evidence: what hosts were proven to do a short while ago, alone and by port; whose flows had the shape of encrypted
 * peer connections; and which public keys were used where. One bounded memory for all workers, of four tables of rows
 * without locks (shared-rows.ts says why that is safe), addresses as fingerprints under a secret.
 *
 *     | header 48 bytes | proofs | shapes | keys | unlikes |
 *     proofs, per host and per host and port:  kinds proven, one bit each | partners, one bit in 32 each
 *     shapes, per host:                        four remotes, each with its time; a second row for those of another shape, a
 *                                              third for those that it dialled
 *     keys, per host and key:                  two remotes, each with its time
 *     unlikes, per host and remote:            the remote with its time: a random stream of theirs had another shape;
 *                                              and rows per host and exact address and port: a stream of theirs was decided,
 *                                              or had the whole shape and began with a message of this length
 *
 * A host is an IPv4 address, or an IPv6 network of 64 bits: within one, a host has as many addresses as it likes. All
 * hosts of one such network are one, but a port is that of one address: others in its network may serve anything there.
 * Two partners of which chance made the bits equal (once in 32) count as one, and so
 * may not open the port of a service; of more than four remotes a row keeps the latest, so that four of another shape
 * outweigh any number of this one.
 *
 * When a bucket is full, an expired row gives way, then the oldest of those with one partner or remote (an outside peer,
 * or a port that was used once), then the oldest of all. Hosts that matter renew their rows with every proven flow, so
 * those stay.
 */
import { invariant } from '../invariant.js';
import { hostEvidenceSeconds, hostRowsMax, keySeconds, shapeSeconds } from '../limits.js';
import { KeyedHash, secretWord } from './keyed-hash.js';
import { isPeerAddress } from './peer-address.js';
import { isServicePort } from './service-ports.js';
import {
  countWitnesses,
  distance,
  dropWitness,
  dropWitnesses,
  latest,
  putWitness,
  rowsPerBucket,
  SharedRows,
  value0,
} from './shared-rows.js';
import {
  ActiveHost,
  ActivePort,
  QuietHost,
  type CutReason,
  type HostAddress,
  type HostGrade,
  type Hosts,
} from './swarm.js';

/** What a report says of a host. */
export interface HostDescription {
  /** Bit i is set if kind i was proven since the host was last quiet for hostEvidenceSeconds. */
  readonly kinds: number;
  /** Different partner networks since then, estimated; 110 stands for more. */
  readonly partners: number;
  /** Since the last proof. */
  readonly ageSeconds: number;
}

const headerBytes = 48;
const tables = 4;
const hSecret = 0;
const hEvicted = 1;

const kindsValue = value0;
const partnersValue = value0 + 1;
const remotes = value0;
const shapeRemotes = 4;
const keyRemotes = 2;

/** Sets the rows about remotes of another shape apart from those of this one, which share a table. */
const unlikeWord = 0x756e_6c69;
/** The same for those that were cut off, by CutReason; they share a table with the unlike ones. */
const cutWords = [0x6375_7421, 0x6375_7440] as const;
/** What such a row remembers is that it is there. */
const cutFingerprint = 1;
/** The same for the length of their first message. */
const beginWord = 0x6265_6700;
/** Sets rows about remotes that a host dialled apart from those of all its remotes. */
const dialWord = 0x6469_616c;

export class HostEvidence implements Hosts {
  /** Rows of each table, and the bytes of all. */
  readonly capacity: number;
  readonly byteLength: number;
  readonly #header: Int32Array;
  readonly #proofs: SharedRows;
  readonly #shapes: SharedRows;
  readonly #keys: SharedRows;
  readonly #unlikes: SharedRows;
  readonly #hash: KeyedHash;

  /** Memory for `capacity` rows in each of the four tables, bytes: 2,097,200 by default. */
  static byteLength(capacity: number = hostRowsMax): number {
    return headerBytes + tables * SharedRows.byteLength(capacity);
  }

  /**
   * `memory`: of `byteLength(capacity)` bytes, zeros at first; the capacity is a power of two from 8 to 524,288.
   * `seed`: 32 secret bits, the same for all workers.
   * @throws InvariantError if the memory has another size, or was first used with another seed
   */
  constructor(memory: SharedArrayBuffer, seed: number) {
    this.byteLength = memory.byteLength;
    this.capacity = (memory.byteLength - headerBytes) / (tables * SharedRows.byteLength(1));
    const tableBytes = SharedRows.byteLength(this.capacity);
    this.#proofs = new SharedRows(memory, headerBytes, this.capacity, secretWord(seed, 2001));
    this.#shapes = new SharedRows(memory, headerBytes + tableBytes, this.capacity, secretWord(seed, 2002));
    this.#keys = new SharedRows(memory, headerBytes + 2 * tableBytes, this.capacity, secretWord(seed, 2003));
    this.#unlikes = new SharedRows(
      memory,
      headerBytes + 3 * tableBytes,
      this.capacity,
      secretWord(seed, 2006),
    );
    this.#hash = new KeyedHash(secretWord(seed, 2004));
    this.#header = new Int32Array(memory, 0, headerBytes / 4);
    const mark = secretWord(seed, 2005) | 1;
    const found = Atomics.compareExchange(this.#header, hSecret, 0, mark);
    invariant(found === 0 || found === mark, 'all workers use a host evidence with one seed');
  }

  /** Rows of all four tables forgotten before their time, for others, since the start, modulo 2^32. */
  get evicted(): number {
    return Atomics.load(this.#header, hEvicted) >>> 0;
  }

  /** Hosts, and ports of hosts, with a proof at a time. Reads a whole table: for status, not per packet. */
  used(seconds: number): number {
    let used = 0;
    for (let place = 0; place < this.capacity / rowsPerBucket; place++) {
      const first = this.#proofs.first(place);
      for (let handle = first; handle < first + rowsPerBucket; handle++) {
        this.#proofs.load(handle);
        const row = this.#proofs.row;
        if (row[partnersValue] !== 0 && distance(row[latest]!, seconds | 0) <= hostEvidenceSeconds) used++;
      }
    }
    return used;
  }

  note(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    kind: number,
    partner: number,
    seconds: number,
  ): void {
    if (!isPeerAddress(version, word0, word1)) return;
    const bit = kind >= 0 && kind < 32 ? 1 << kind : 0;
    const partnerBit = 1 << (this.#hash.fingerprint(partner) & 31);
    const net2 = half(version, word2);
    const net3 = half(version, word3);
    this.#hash.address(version, word0, word1, net2, net3, 0, 0, 0);
    this.#prove(bit, partnerBit, seconds | 0);
    if (port === 0) return;
    this.#hash.address(version, word0, word1, word2, word3, port, 0, 0);
    this.#prove(bit, partnerBit, seconds | 0);
  }

  grade(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    seconds: number,
  ): HostGrade {
    if (port !== 0 && this.#findProof(version, word0, word1, word2, word3, port, seconds)) {
      // The port of a service needs a second partner: one alone may have been forged.
      if (!isServicePort(port) || !isOneBit(this.#proofs.row[partnersValue]!)) return ActivePort;
    }
    return this.#findProof(version, word0, word1, word2, word3, 0, seconds) ? ActiveHost : QuietHost;
  }

  /** @returns 0 to 4; 0 if the remote was seen with another shape, or if as many others were, both within their time */
  shape(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    remote: number,
    seconds: number,
  ): number {
    if (!isPeerAddress(version, word0, word1)) return 1;
    const now = seconds | 0;
    const hash = this.#hash;
    const rows = this.#shapes;
    if (this.isUnlike(version, word0, word1, word2, word3, remote, now)) return 0;
    const net2 = half(version, word2);
    const net3 = half(version, word3);
    hash.address(version, word0, word1, net2, net3, 0, 0, 0);
    this.#remember(rows, shapeRemotes, hash.fingerprint(remote), now, shapeSeconds);
    const likes = countWitnesses(rows.row, remotes, remotes + shapeRemotes, now, shapeSeconds);
    hash.address(version, word0, word1, net2, net3, 0, 0, unlikeWord);
    if (rows.find(hash.tag0, hash.tag1, hash.place, now, shapeSeconds) < 0) return likes;
    // A host with as many random streams of other shapes is no client of a swarm, whatever chance made of some.
    return countWitnesses(rows.row, remotes, remotes + shapeRemotes, now, shapeSeconds) >= likes ? 0 : likes;
  }

  unlike(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    remote: number,
    seconds: number,
  ): void {
    if (!isPeerAddress(version, word0, word1)) return;
    const now = seconds | 0;
    const hash = this.#hash;
    const net2 = half(version, word2);
    const net3 = half(version, word3);
    hash.address(version, word0, word1, net2, net3, 0, remote, unlikeWord);
    this.#remember(this.#unlikes, keyRemotes, hash.fingerprint(remote), now, keySeconds);
    const rows = this.#shapes;
    hash.address(version, word0, word1, net2, net3, 0, 0, unlikeWord);
    this.#remember(rows, shapeRemotes, hash.fingerprint(remote), now, shapeSeconds);
    // It may have counted before.
    hash.address(version, word0, word1, net2, net3, 0, 0, 0);
    const handle = rows.find(hash.tag0, hash.tag1, hash.place, now, shapeSeconds);
    if (handle < 0) return;
    dropWitness(rows.row, remotes, remotes + shapeRemotes, hash.fingerprint(remote));
    rows.store(handle, hash.tag0, hash.tag1);
  }

  isUnlike(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    remote: number,
    seconds: number,
  ): boolean {
    const hash = this.#hash;
    hash.address(version, word0, word1, half(version, word2), half(version, word3), 0, remote, unlikeWord);
    return this.#unlikes.find(hash.tag0, hash.tag1, hash.place, seconds | 0, keySeconds) >= 0;
  }

  key(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    key0: number,
    key1: number,
    remote: number,
    seconds: number,
  ): boolean {
    if (!isPeerAddress(version, word0, word1)) return false;
    const now = seconds | 0;
    const hash = this.#hash;
    const rows = this.#keys;
    hash.address(version, word0, word1, half(version, word2), half(version, word3), 0, key0, key1);
    this.#remember(rows, keyRemotes, hash.fingerprint(remote), now, keySeconds);
    return countWitnesses(rows.row, remotes, remotes + keyRemotes, now, keySeconds) > 1;
  }

  dial(host: HostAddress, remote: number, seconds: number): number {
    const { version, word0, word1, word2, word3 } = host;
    if (!isPeerAddress(version, word0, word1)) return 0;
    const now = seconds | 0;
    const hash = this.#hash;
    const rows = this.#shapes;
    hash.address(version, word0, word1, half(version, word2), half(version, word3), 0, 0, dialWord);
    this.#remember(rows, shapeRemotes, hash.fingerprint(remote), now, shapeSeconds);
    return countWitnesses(rows.row, remotes, remotes + shapeRemotes, now, shapeSeconds);
  }

  cut(host: HostAddress, remote: HostAddress, port: number, reason: CutReason, seconds: number): void {
    this.#rememberPair(host, remote, port, cutWords[reason], seconds);
  }

  wasCut(
    host: HostAddress,
    remote: HostAddress,
    port: number,
    remoteNetwork: number,
    reason: CutReason,
    seconds: number,
  ): boolean {
    const { version, word0, word1, word2, word3 } = host;
    if (!this.#isPairKnown(host, remote, port, cutWords[reason], seconds, shapeSeconds)) return false;
    return !this.isUnlike(version, word0, word1, word2, word3, remoteNetwork, seconds);
  }

  begin(host: HostAddress, remote: HostAddress, port: number, length: number, seconds: number): void {
    this.#rememberPair(host, remote, port, beginWord ^ length, seconds);
  }

  beganSo(host: HostAddress, remote: HostAddress, port: number, length: number, seconds: number): boolean {
    return this.#isPairKnown(host, remote, port, beginWord ^ length, seconds, keySeconds);
  }

  #rememberPair(host: HostAddress, remote: HostAddress, port: number, what: number, seconds: number): void {
    if (!isPeerAddress(host.version, host.word0, host.word1)) return;
    this.#hashPair(host, remote, port, what);
    this.#remember(this.#unlikes, keyRemotes, cutFingerprint, seconds | 0, keySeconds);
  }

  #isPairKnown(
    host: HostAddress,
    remote: HostAddress,
    port: number,
    what: number,
    seconds: number,
    secondsMax: number,
  ): boolean {
    this.#hashPair(host, remote, port, what);
    const { tag0, tag1, place } = this.#hash;
    return this.#unlikes.find(tag0, tag1, place, seconds | 0, secondsMax) >= 0;
  }

  /** Of a host and one exact address and port; `what` sets apart what is said of them. */
  #hashPair(host: HostAddress, remote: HostAddress, port: number, what: number): void {
    const hash = this.#hash;
    hash.address(remote.version, remote.word0, remote.word1, remote.word2, remote.word3, port, 0, 0);
    const key0 = hash.tag0;
    const key1 = hash.tag1 ^ what;
    const { version, word0, word1, word2, word3 } = host;
    hash.address(version, word0, word1, half(version, word2), half(version, word3), 0, key0, key1);
  }

  /** What is known of a host, or with a port other than 0 of that port of it; null if nothing. For reports: allocates. */
  describe(
    version: number,
    words: readonly [number, number, number, number],
    port: number,
    seconds: number,
  ): HostDescription | null {
    if (!this.#findProof(version, words[0], words[1], words[2], words[3], port, seconds)) return null;
    const row = this.#proofs.row;
    return {
      kinds: row[kindsValue]!,
      partners: estimate(row[partnersValue]!),
      ageSeconds: distance(row[latest]!, seconds | 0),
    };
  }

  #findProof(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    seconds: number,
  ): boolean {
    const hash = this.#hash;
    if (port !== 0) hash.address(version, word0, word1, word2, word3, port, 0, 0);
    else hash.address(version, word0, word1, half(version, word2), half(version, word3), 0, 0, 0);
    return this.#proofs.find(hash.tag0, hash.tag1, hash.place, seconds | 0, hostEvidenceSeconds) >= 0;
  }

  /** Adds to the row of the hashed host, or makes one. */
  #prove(kindBit: number, partnerBit: number, now: number): void {
    const rows = this.#proofs;
    const { tag0, tag1, place } = this.#hash;
    let handle = rows.find(tag0, tag1, place, now, hostEvidenceSeconds);
    if (handle < 0) handle = this.#victim(rows, place, now, hostEvidenceSeconds);
    rows.row[latest] = now;
    rows.row[kindsValue]! |= kindBit;
    rows.row[partnersValue]! |= partnerBit;
    rows.store(handle, tag0, tag1);
  }

  /** Puts a remote into the hashed row, or makes one; leaves it in `rows.row`. */
  #remember(rows: SharedRows, count: number, fingerprint: number, now: number, secondsMax: number): void {
    const { tag0, tag1, place } = this.#hash;
    let handle = rows.find(tag0, tag1, place, now, secondsMax);
    if (handle < 0) handle = this.#victim(rows, place, now, secondsMax);
    dropWitnesses(rows.row, remotes, remotes + count, now, secondsMax);
    putWitness(rows.row, remotes, remotes + count, fingerprint, now);
    rows.row[latest] = now;
    rows.store(handle, tag0, tag1);
  }

  /** Handle of the row that gives way to a new one, now empty in `row`. */
  #victim(rows: SharedRows, place: number, now: number, secondsMax: number): number {
    const first = rows.first(place);
    let victim = first;
    let victimScore = -1;
    for (let handle = first; handle < first + rowsPerBucket; handle++) {
      rows.load(handle);
      const row = rows.row;
      const age = distance(row[latest]!, now);
      const isFree =
        age > secondsMax || (row[value0]! | row[value0 + 1]! | row[value0 + 2]! | row[value0 + 3]!) === 0;
      const isSlight = rows === this.#proofs ? isOneBit(row[partnersValue]!) : row[remotes + 1] === 0;
      const score = isFree ? 0x7fffffff : isSlight ? 0x10000 + age : age;
      if (score <= victimScore) continue;
      victim = handle;
      victimScore = score;
    }
    if (victimScore < 0x7fffffff) Atomics.add(this.#header, hEvicted, 1);
    rows.clear();
    return victim;
  }
}

/** A word of an address that names a host within its network does not count in IPv6. */
function half(version: number, word: number): number {
  return version === 4 ? word : 0;
}

function isOneBit(word: number): boolean {
  return (word & (word - 1)) === 0;
}

/** Linear counting (Whang and others 1990): how many different ones set so many of 32 bits. */
function estimate(bitmap: number): number {
  let zeros = 0;
  for (let i = 0; i < 32; i++) if ((bitmap & (1 << i)) === 0) zeros++;
  return Math.round(-32 * Math.log(Math.max(zeros, 1) / 32));
}
