/**
 * Endpoint memory: `address:port` of peers that trackers, DHT, PEX and LSD named, or that a proven flow had at its
 * listening end; for a while, in one bounded memory for all workers, without locks (shared-rows.ts says why that is safe).
 *
 *     | header 48 bytes | quota of speakers | quota of listeners | buckets of 8 rows |
 *     a row of hearsay, per endpoint and listener network:  speaker | speaker | speaker | - | -
 *     a row of a proven endpoint:                           - | - | - | partner | partner
 *
 * Addresses are not kept, only fingerprints of 64 bits under a secret (keyed-hash.ts); IPv6 costs what IPv4 costs. A
 * speaker or partner is 16 bits of fingerprint of a network with its own time; two networks of one fingerprint count as
 * one (once in 65,536), which only lowers a grade.
 *
 * What is said is worth little, because anybody can say anything to a host that asks: hearsay never makes an endpoint
 * trusted, however many networks agree, and counts only for hosts of the network that was told, so that a lie told to one
 * says nothing about others. Each network may place only so many new rows of hearsay in ten minutes (an endpoint told to
 * two networks is two), and all of them together only so many with the hosts of one local network.
 *
 * When a bucket is full, the row that is worth least gives way: expired, then named by one network, by more, proven with
 * one partner, with two; of equals the one that was not renewed for longest (hearsay does not renew a proof). Hearsay
 * never takes the place of a proven endpoint: it is refused.
 */
import { invariant } from '../invariant.js';
import {
  endpointsMax,
  hearsaySeconds,
  listenerShare,
  provenSeconds,
  speakerEndpointsMax,
} from '../limits.js';
import { KeyedHash, secretWord } from './keyed-hash.js';
import { isPeerAddress } from './peer-address.js';
import { isServicePort } from './service-ports.js';
import { SharedQuota } from './shared-quota.js';
import {
  countWitnesses,
  distance,
  dropWitnesses,
  latest,
  putWitness,
  rowsPerBucket,
  SharedRows,
  value0,
} from './shared-rows.js';
import {
  NamedEndpoint,
  TrustedEndpoint,
  UnknownEndpoint,
  type EndpointGrade,
  type Endpoints,
} from './swarm.js';

// Header words.
const hSecret = 0;
const hLearned = 1;
const hRefusedSpeaker = 2;
const hRefusedListener = 3;
const hRefusedFull = 4;
const hEvicted = 5;
/** Large blocks of glibc begin 16 bytes into a page; 48 further a bucket begins where a cache line does (as table.ts). */
const headerBytes = 48;
const speakersAt = headerBytes;
const listenersAt = speakersAt + SharedQuota.byteLength;
const rowsAt = listenersAt + SharedQuota.byteLength;

// Values of a row: [firstSpeaker, firstPartner) and [firstPartner, lastPartner).
const firstSpeaker = value0;
const firstPartner = value0 + 3;
const lastPartner = value0 + 5;

// What a row is worth; a lower rank gives way first.
const rankExpired = 0;
const rankNamed = 1;
const rankNamedBySeveral = 2;
const rankProven = 3;
const rankProvenTwice = 4;

/** Sets hearsay apart from what was proven: it has a row for each network that was told. */
const hearsayWord = 0x6865_6172;

export class EndpointMemory implements Endpoints {
  /** Rows that fit, and the bytes for them: an endpoint has one if it is proven, and one for each network told of it. */
  readonly capacity: number;
  readonly byteLength: number;
  readonly #header: Int32Array;
  readonly #rows: SharedRows;
  readonly #speakers: SharedQuota;
  readonly #listeners: SharedQuota;
  readonly #hash: KeyedHash;
  /** Of networks: other secrets than those of endpoints. */
  readonly #networks: KeyedHash;

  /** Memory for `capacity` rows, bytes: 4,259,888 by default. */
  static byteLength(capacity: number = endpointsMax): number {
    return rowsAt + SharedRows.byteLength(capacity);
  }

  /**
   * `memory`: of `byteLength(capacity)` bytes, zeros at first; the capacity is a power of two from 8 to 524,288.
   * `seed`: 32 secret bits, the same for all workers.
   * @throws InvariantError if the memory has another size, or was first used with another seed
   */
  constructor(memory: SharedArrayBuffer, seed: number) {
    this.byteLength = memory.byteLength;
    this.capacity = (memory.byteLength - rowsAt) / SharedRows.byteLength(1);
    this.#rows = new SharedRows(memory, rowsAt, this.capacity, secretWord(seed, 1001));
    this.#speakers = new SharedQuota(memory, speakersAt, speakerEndpointsMax, secretWord(seed, 1002));
    const perListener = Math.max(1, Math.floor(this.capacity / listenerShare));
    this.#listeners = new SharedQuota(memory, listenersAt, perListener, secretWord(seed, 1003));
    this.#hash = new KeyedHash(secretWord(seed, 1004));
    this.#networks = new KeyedHash(secretWord(seed, 1005));
    this.#header = new Int32Array(memory, 0, headerBytes / 4);
    const mark = secretWord(seed, 1006) | 1;
    const found = Atomics.compareExchange(this.#header, hSecret, 0, mark);
    invariant(found === 0 || found === mark, 'all workers use an endpoint memory with one seed');
  }

  /** New rows since the start, modulo 2^32; one that was forgotten is new again. */
  get learned(): number {
    return this.#counter(hLearned);
  }

  /** New hearsay not learned because their speaker, or their listener, had used up its quota. */
  get refusedSpeaker(): number {
    return this.#counter(hRefusedSpeaker);
  }

  get refusedListener(): number {
    return this.#counter(hRefusedListener);
  }

  /** Hearsay not learned because its bucket was full of proven endpoints. */
  get refusedFull(): number {
    return this.#counter(hRefusedFull);
  }

  /** Rows forgotten before their time, for others. */
  get evicted(): number {
    return this.#counter(hEvicted);
  }

  /** Rows of endpoints known at a time, seconds since 1970. Reads the whole memory: for status, not per packet. */
  used(seconds: number): number {
    let used = 0;
    for (let place = 0; place < this.capacity / rowsPerBucket; place++) {
      const first = this.#rows.first(place);
      for (let handle = first; handle < first + rowsPerBucket; handle++) {
        this.#rows.load(handle);
        if (this.#rank(seconds | 0) !== rankExpired) used++;
      }
    }
    return used;
  }

  /**
   * Somebody of another network naming an endpoint in the listener's own network is not believed: who is there, Swarmgate
   * sees for itself, and the lie would cost the listener's neighbours their services.
   */
  name(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    speaker: number,
    listener: number,
    seconds: number,
  ): boolean {
    if (port === 0 || !isPeerAddress(version, word0, word1)) return true;
    if (speaker !== listener && this.#networks.network(version, word0, word1) === listener) return true;
    const now = seconds | 0;
    const rows = this.#rows;
    const hash = this.#hash;
    hash.address(version, word0, word1, word2, word3, port, listener, hearsayWord);
    let handle = rows.find(hash.tag0, hash.tag1, hash.place, now, provenSeconds);
    if (handle < 0 || this.#rank(now) === rankExpired) {
      if (!this.#admits(speaker, listener, now)) return false;
      if (handle < 0) handle = this.#victim(hash.place, now, rankNamedBySeveral);
      if (handle < 0) {
        Atomics.add(this.#header, hRefusedFull, 1);
        return true;
      }
      this.#speakers.count(speaker, now);
      this.#listeners.count(listener, now);
      Atomics.add(this.#header, hLearned, 1);
    }
    this.#dropOld(now);
    putWitness(rows.row, firstSpeaker, firstPartner, this.#networks.fingerprint(speaker), now);
    rows.row[latest] = now;
    rows.store(handle, hash.tag0, hash.tag1);
    return true;
  }

  prove(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    partner: number,
    seconds: number,
  ): void {
    if (port === 0 || !isPeerAddress(version, word0, word1)) return;
    const now = seconds | 0;
    const rows = this.#rows;
    const hash = this.#hash;
    hash.address(version, word0, word1, word2, word3, port, 0, 0);
    let handle = rows.find(hash.tag0, hash.tag1, hash.place, now, provenSeconds);
    if (handle < 0 || this.#rank(now) === rankExpired) {
      if (handle < 0) handle = this.#victim(hash.place, now, rankProvenTwice);
      Atomics.add(this.#header, hLearned, 1);
    }
    this.#dropOld(now);
    putWitness(rows.row, firstPartner, lastPartner, this.#networks.fingerprint(partner), now);
    rows.row[latest] = now;
    rows.store(handle, hash.tag0, hash.tag1);
  }

  grade(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    asker: number,
    seconds: number,
  ): EndpointGrade {
    const now = seconds | 0;
    const rows = this.#rows;
    const hash = this.#hash;
    const more = isServicePort(port) ? 1 : 0;
    hash.address(version, word0, word1, word2, word3, port, 0, 0);
    if (rows.find(hash.tag0, hash.tag1, hash.place, now, provenSeconds) >= 0) {
      const partners = countWitnesses(rows.row, firstPartner, lastPartner, now, provenSeconds);
      if (partners > more) return TrustedEndpoint;
    }
    hash.address(version, word0, word1, word2, word3, port, asker, hearsayWord);
    if (rows.find(hash.tag0, hash.tag1, hash.place, now, provenSeconds) < 0) return UnknownEndpoint;
    const speakers = countWitnesses(rows.row, firstSpeaker, firstPartner, now, hearsaySeconds);
    return speakers > more ? NamedEndpoint : UnknownEndpoint;
  }

  speakerOf(version: number, word0: number, word1: number): number {
    return this.#networks.network(version, word0, word1);
  }

  #counter(index: number): number {
    return Atomics.load(this.#header, index) >>> 0;
  }

  /** True if both quotas have something left; counts who had not. */
  #admits(speaker: number, listener: number, now: number): boolean {
    if (!this.#speakers.allows(speaker, now)) {
      Atomics.add(this.#header, hRefusedSpeaker, 1);
      return false;
    }
    if (!this.#listeners.allows(listener, now)) {
      Atomics.add(this.#header, hRefusedListener, 1);
      return false;
    }
    return true;
  }

  /** What the copied row is worth now. */
  #rank(now: number): number {
    const row = this.#rows.row;
    if (distance(row[latest]!, now) > provenSeconds) return rankExpired;
    const partners = countWitnesses(row, firstPartner, lastPartner, now, provenSeconds);
    if (partners > 0) return partners > 1 ? rankProvenTwice : rankProven;
    const speakers = countWitnesses(row, firstSpeaker, firstPartner, now, hearsaySeconds);
    if (speakers > 0) return speakers > 1 ? rankNamedBySeveral : rankNamed;
    return rankExpired;
  }

  /** Handle of the row that gives way to a new one, now empty in `row`; -1 if all are worth more than `rankMax`. */
  #victim(place: number, now: number, rankMax: number): number {
    const rows = this.#rows;
    const first = rows.first(place);
    let victim = -1;
    let victimRank = rankMax + 1;
    let victimAge = -1;
    for (let handle = first; handle < first + rowsPerBucket && victimRank > rankExpired; handle++) {
      rows.load(handle);
      const rank = this.#rank(now);
      const age = distance(rows.row[latest]!, now);
      if (rank > victimRank || (rank === victimRank && age <= victimAge)) continue;
      if (rank > rankMax) continue;
      victim = handle;
      victimRank = rank;
      victimAge = age;
    }
    if (victim >= 0 && victimRank > rankExpired) Atomics.add(this.#header, hEvicted, 1);
    rows.clear();
    return victim;
  }

  /** Keeps the promise on which the short times of witnesses rest. */
  #dropOld(now: number): void {
    dropWitnesses(this.#rows.row, firstSpeaker, firstPartner, now, hearsaySeconds);
    dropWitnesses(this.#rows.row, firstPartner, lastPartner, now, provenSeconds);
  }
}
