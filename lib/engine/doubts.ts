/**
 * Doubtful flows: something in them could be BitTorrent, and the memory of other flows is asked whether it is. What it says
 * becomes evidence like any other, said by a witness.
 */
import { kinds, type Kind } from '../../detectors/detector.js';
import { flagDoubtful, flagShape, sFlags, sInner, wordStride, type FlowTable } from '../flow/table.js';
import { cutByShape, cutByThree } from '../flow/swarm.js';
import type { Negotiation } from '../wire/negotiation.js';
import { gradeStrong } from './evidence.js';
import type { Notes } from './notes.js';
import { gradeOf } from './registry.js';
import { endpointNamed, endpointTrusted, hostActive, portActive, type SwarmWatch } from './swarm-watch.js';
import {
  byEndpoint,
  byHost,
  bySwarm,
  cutBefore,
  sameKey,
  sameRemote,
  sureFinding,
  threeRemotes,
  witnesses,
} from './witnesses.js';

/** Length of a public key of MSE, bytes. */
const publicKeyBytes = 96;

/** Remotes towards which the same shape decides. */
const remotesThatDecide = 3;

const client = 0;

export class Doubts {
  readonly swarm: SwarmWatch;
  readonly #flows: FlowTable;
  readonly #notes: Notes;
  readonly #witnessesAt: number;

  /** @param witnessesAt number of the first witness in the evidence */
  constructor(swarm: SwarmWatch, flows: FlowTable, notes: Notes, witnessesAt: number) {
    this.swarm = swarm;
    this.#flows = flows;
    this.#notes = notes;
    this.#witnessesAt = witnessesAt;
  }

  /**
   * Notes what the memory says about the two ends of a flow; true if that is news. A client that is cut off tries again and
   * again, and once in a hundred times its lengths are no evidence. So it is enough that the same client had a connection
   * with the same server and port, with `byShape` one of the whole shape, else one that was decided as one of three.
   */
  ask(slot: number, s: number, byShape: boolean): boolean {
    const said = this.swarm.ask(this.#flows, slot, this.#seconds());
    let news = false;
    // The third remote may have come after this flow had its shape.
    if ((this.#notes.words[s + sFlags]! & flagShape) !== 0) news = this.#countRemotes(slot, s);
    else if (this.swarm.wasCut(this.#flows, slot, byShape ? cutByShape : cutByThree, this.#seconds()))
      news = this.#testify(s, bySwarm, byShape ? sameRemote : cutBefore);
    if ((said & endpointTrusted) !== 0) news = this.#testify(s, byEndpoint, sureFinding) || news;
    else if ((said & endpointNamed) !== 0) news = this.#testify(s, byEndpoint, 0) || news;
    if ((said & portActive) !== 0) news = this.#testify(s, byHost, sureFinding) || news;
    else if ((said & hostActive) !== 0) news = this.#testify(s, byHost, 0) || news;
    return news;
  }

  /** What the message in view, which is proof, teaches about other flows. */
  learn(slot: number, kind: Kind): void {
    const { sighting, view } = this.#notes;
    this.swarm.learn(this.#flows, slot, sighting.side, view, kinds.indexOf(kind), this.#seconds());
  }

  /** An encrypted connection, as far as it has come: its public key, and its whole shape once it is strong, are noted. */
  noteShape(slot: number, s: number, grade: number): void {
    const { words } = this.#notes;
    this.#noteKey(slot, s);
    this.#compareBeginning(slot);
    if (grade !== gradeStrong || (words[s + sFlags]! & flagShape) !== 0) return;
    words[s + sFlags]! |= flagShape;
    const length = this.#notes.view.turnBytes[0]!;
    this.#countRemotes(slot, s);
    this.swarm.noteBeginning(this.#flows, slot, length, this.#seconds());
  }

  /**
   * The padding of a public key has a random length, up to 512 bytes: a connection with the same server and port that
   * begins with as many bytes as the one of the whole shape before is that of a tunnel whose messages always have its lengths.
   */
  #compareBeginning(slot: number): void {
    const { fromClient, turn, turnBytes } = this.#notes.view;
    if (turn !== 1 || !fromClient) return;
    if (this.swarm.beganSo(this.#flows, slot, turnBytes[0]!, this.#seconds()))
      this.swarm.noteUnlike(this.#flows, slot, this.#seconds());
  }

  /** True if it is news that this flow's remote is one of three of the same shape. */
  #countRemotes(slot: number, s: number): boolean {
    const remotes = this.swarm.noteShape(this.#flows, slot, this.#seconds());
    const dialled = this.swarm.noteDialled(this.#flows, slot, this.#seconds());
    this.swarm.noteCut(this.#flows, slot, cutByShape, this.#seconds());
    if (remotes < remotesThatDecide) return false;
    if (dialled >= remotesThatDecide) this.swarm.noteCut(this.#flows, slot, cutByThree, this.#seconds());
    return this.#testify(s, bySwarm, threeRemotes);
  }

  /** A proxy was stepped over: remotes are told apart by where it leads to. */
  noteInner(slot: number, { version, words, port }: Negotiation): void {
    if (version === 0) return;
    const network = this.swarm.networkOf(version, words[0]!, words[1]!, words[2]!, words[3]!);
    this.#flows.words[slot * wordStride + sInner] = network ^ port;
  }

  /** A flow of random bytes turned out to have another shape: its server is no evidence of a swarm. */
  noteUnlike(slot: number): void {
    this.#notes.words[slot * wordStride + sFlags]! &= ~flagDoubtful;
    this.swarm.noteUnlike(this.#flows, slot, this.#seconds());
  }

  /** The first 96 bytes of the client are its public key; noted when the server has answered with one of its own. */
  #noteKey(slot: number, s: number): void {
    const { other, otherStart, otherEnd, fromClient, turn } = this.#notes.view;
    if (fromClient || turn !== 2 || otherEnd - otherStart < publicKeyBytes) return;
    let key0 = 0x2545f491;
    let key1 = 0x6c078965;
    for (let i = otherStart; i < otherStart + publicKeyBytes; i++) {
      key0 = Math.imul(key0 ^ other[i]!, 0x01000193);
      key1 = Math.imul(key1 + other[i]!, 0x5bd1e995) ^ (key1 >>> 15);
    }
    if (this.swarm.noteKey(this.#flows, slot, key0, key1, this.#seconds()))
      this.#testify(s, bySwarm, sameKey);
  }

  /** Notes what a witness says; false if it was said before. */
  #testify(s: number, witness: number, finding: number): boolean {
    const { sighting, view } = this.#notes;
    const grade = gradeOf(witnesses[witness]!.findings[finding]!.confidence);
    view.reset();
    const { side } = sighting;
    sighting.side = client;
    const isNew = this.#notes.note(s, this.#witnessesAt + witness, finding, grade, false);
    sighting.side = side;
    return isNew;
  }

  /** Time of the packet at hand, whole seconds since 1970. */
  #seconds(): number {
    return Math.floor(this.#notes.sighting.timeMicros / 1e6);
  }
}
