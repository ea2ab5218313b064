/**
 * Test support: reads hex fixtures and drives one detector over the packets of one flow as the engine does, with each
 * side's opening kept after More.
 *
 * Fixture text: `>` starts a payload packet from client to server, `<` one from server to client; hex digits follow,
 * on as many lines as wanted, and `"text"` in double quotes stands for its ASCII bytes (\r \n \\ \" \xNN allowed).
 * `random 300 seed 7` stands for 300 random bytes, always the same ones. `#` starts a comment. `! middle` says that the
 * flow's start was not seen; `! one-way client` that only the packets of that side were captured; `! ports 51413 6881`
 * sets client and server port; `! finding TEXT` (match fixtures) is the sentence the detector must say, and the run goes on
 * until it is said; `! client TEXT` and `! info-hash HEX` what it must note. Near misses and short ones may be a hint if
 * they say `! hint`; then the run goes on to the last packet, and nothing in it may be more. `! near TEXT` is the reason
 * that it must give in the end.
 */
import { More, No, turnsMax, View, Yes, type Detector, type Outcome } from './detector.js';

export interface Step {
  readonly fromClient: boolean;
  readonly payload: Uint8Array;
}

export interface Fixture {
  readonly steps: readonly Step[];
  readonly fromStart: boolean;
  readonly clientPort: number;
  readonly serverPort: number;
  readonly finding: string | null;
  readonly client: string | null;
  readonly infoHash: string | null;
  /** The side whose packets alone were captured; null if both were. */
  readonly oneWay: 'client' | 'server' | null;
  /** A near miss that may be a hint all the same. */
  readonly mayBeHint: boolean;
  readonly near: string | null;
}

export interface Run {
  /** The answer to the last packet asked about: the Yes that was waited for ends the run. */
  readonly outcome: Outcome;
  /** Index of the step of that answer. */
  readonly step: number;
  readonly finding: string | null;
  readonly near: string | null;
  readonly client: string;
  readonly infoHash: string;
  /** All that was said, in order. */
  readonly said: readonly string[];
}

/** Parses fixture text. @throws Error with the line number if it is not in the form above. */
export function parseFixture(text: string): Fixture {
  const steps: { fromClient: boolean; bytes: number[] }[] = [];
  const fixture = { fromStart: true, clientPort: 51413, serverPort: 6881 };
  const expected: Record<string, string> = {};
  let oneWay: Fixture['oneWay'] = null;
  let mayBeHint = false;
  for (const [index, raw] of text.split('\n').entries()) {
    let line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('!')) {
      const [word, ...rest] = line.slice(1).trim().split(/\s+/);
      if (word === 'middle') fixture.fromStart = false;
      else if (word === 'ports')
        [fixture.clientPort, fixture.serverPort] = rest.map(Number) as [number, number];
      else if (word === 'one-way' && (rest[0] === 'client' || rest[0] === 'server')) oneWay = rest[0];
      else if (word === 'hint') mayBeHint = true;
      else if (word === 'finding' || word === 'client' || word === 'info-hash' || word === 'near')
        expected[word] = rest.join(' ');
      else throw new Error(`line ${index + 1}: unknown directive ${String(word)}`);
      continue;
    }
    if (line.startsWith('>') || line.startsWith('<')) {
      steps.push({ fromClient: line.startsWith('>'), bytes: [] });
      line = line.slice(1);
    }
    const step = steps.at(-1);
    if (step === undefined) throw new Error(`line ${index + 1}: bytes before the first > or <`);
    step.bytes.push(...parseLine(line, index + 1));
  }
  return {
    ...fixture,
    steps: steps.map(({ fromClient, bytes }) => ({ fromClient, payload: Uint8Array.from(bytes) })),
    finding: expected['finding'] ?? null,
    client: expected['client'] ?? null,
    infoHash: expected['info-hash'] ?? null,
    near: expected['near'] ?? null,
    oneWay,
    mayBeHint,
  };
}

/** `length` bytes that always come out the same (xorshift32). */
function randomBytes(length: number, seed: number): number[] {
  let x = Math.imul(seed, 0x9e3779b1) | 1;
  return Array.from({ length }, () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 11) & 0xff;
  });
}

const escapes: Record<string, number> = { r: 13, n: 10, t: 9, '0': 0, '\\': 92, '"': 34 };

function parseLine(line: string, number: number): number[] {
  const bytes: number[] = [];
  let at = 0;
  while (at < line.length) {
    const character = line[at]!;
    if (character === '#') break;
    const random = /^random (\d+) seed (\d+)/.exec(line.slice(at));
    if (/\s/.test(character)) at++;
    else if (random !== null) {
      bytes.push(...randomBytes(Number(random[1]), Number(random[2])));
      at += random[0].length;
    } else if (character === '"') {
      for (at++; at < line.length && line[at] !== '"'; at++) {
        if (line[at] !== '\\') bytes.push(line.charCodeAt(at) & 0xff);
        else if (line[++at] === 'x') {
          bytes.push(Number.parseInt(line.slice(at + 1, at + 3), 16));
          at += 2;
        } else bytes.push(escapes[line[at]!] ?? 63);
      }
      if (line[at] !== '"') throw new Error(`line ${number}: text without closing quote`);
      at++;
    } else {
      const pair = line.slice(at, at + 2);
      if (!/^[0-9a-fA-F]{2}$/.test(pair)) throw new Error(`line ${number}: not a hex byte: ${pair}`);
      bytes.push(Number.parseInt(pair, 16));
      at += 2;
    }
  }
  return bytes;
}

const openingMax = 4096;
const none = new Uint8Array(0);

/** What the harness keeps of one side: TCP its stream so far, UDP the last datagram that was answered More. */
interface Side {
  kept: Uint8Array;
  packets: number;
  done: boolean;
}

function showView(view: View, detector: Detector, own: Side, other: Side, payload: Uint8Array): void {
  view.reset();
  view.bytes = payload;
  view.start = 0;
  view.end = payload.length;
  view.wireLength = payload.length;
  view.payloadPacket = own.packets;
  view.opening = own.kept;
  view.openingStart = 0;
  view.openingEnd = own.kept.length;
  view.openingWireLength = own.kept.length;
  view.other = other.kept;
  view.otherStart = 0;
  view.otherEnd = other.kept.length;
  view.otherWireLength = other.kept.length;
  if (detector.transport === 'udp') view.fromStart = true;
}

/** What is known of whose turn it is, as the engine keeps it. */
class Turns {
  turn = 0;
  readonly bytes = new Int32Array(turnsMax);
  #client = true;

  /** Counts a payload of `length` bytes in; what comes after the last turn that is told apart belongs to it. */
  add(fromClient: boolean, length: number): void {
    if (this.turn === 0 || (this.#client !== fromClient && this.turn < turnsMax)) this.turn++;
    this.#client = fromClient;
    this.bytes[this.turn - 1]! += length;
  }

  show(view: View, known: boolean): void {
    view.turn = known ? this.turn : 0;
    view.turnBytes.fill(0);
    if (known) view.turnBytes.set(this.bytes);
  }
}

type Conversation = Pick<Fixture, 'steps' | 'fromStart' | 'clientPort' | 'serverPort'> & Partial<Fixture>;

/**
 * Drives `detector` over a flow until it says Yes, or the sentence that the fixture waits for, or the packets end. Of a
 * TCP flow both openings are kept, after More and after Yes, as the engine does while a flow is undecided.
 */
export function runDetector(detector: Detector, fixture: Conversation): Run {
  const view = new View();
  const sides = {
    true: { kept: none, packets: 0, done: false },
    false: { kept: none, packets: 0, done: false },
  };
  const tcp = detector.transport === 'tcp';
  const turns = new Turns();
  const said: string[] = [];
  let followed = false;
  let last: Run = { outcome: 0, step: -1, finding: null, near: null, client: '', infoHash: '', said };
  for (const [step, { fromClient, payload }] of fixture.steps.entries()) {
    const own: Side = sides[`${fromClient}`];
    const other: Side = sides[`${!fromClient}`];
    turns.add(fromClient, payload.length);
    if (fixture.oneWay && (fixture.oneWay === 'client') !== fromClient) continue;
    own.packets++;
    if (tcp) own.kept = Uint8Array.from([...own.kept, ...payload]).slice(0, openingMax);
    if (own.done || own.packets > detector.packetsMax) continue;
    showView(view, detector, own, other, payload);
    turns.show(view, tcp && fixture.fromStart && (followed || own.packets + other.packets === 1));
    view.oneWay = tcp ? Boolean(fixture.oneWay) && turns.turn > 1 : other.packets === 0;
    view.fromClient = fromClient;
    view.fromStart = fixture.fromStart || !tcp;
    view.sourcePort = fromClient ? fixture.clientPort : fixture.serverPort;
    view.destinationPort = fromClient ? fixture.serverPort : fixture.clientPort;
    const outcome = detector.inspect(view);
    followed ||= outcome !== No;
    last = note(detector, view, outcome, step, last);
    if (last.finding !== null) said.push(last.finding);
    if (outcome === Yes && !fixture.mayBeHint && isWanted(fixture, last)) return last;
    if (!tcp) own.kept = outcome === More ? payload : own.kept;
    if (outcome === No && detector.scope === 'opening') own.done = true;
  }
  return last;
}

function isWanted(fixture: Conversation, { finding }: Run): boolean {
  return typeof fixture.finding !== 'string' || fixture.finding === finding;
}

function note(detector: Detector, view: View, outcome: Outcome, step: number, last: Run): Run {
  const finding =
    outcome === Yes ? (detector.findings[view.finding]?.text ?? `no finding ${view.finding}`) : null;
  const near =
    outcome !== Yes && view.near >= 0
      ? (detector.nearMisses[view.near] ?? `no near miss ${view.near}`)
      : last.near;
  return {
    outcome,
    step,
    finding,
    near,
    client: Buffer.from(view.client.subarray(0, view.clientLength)).toString('latin1'),
    infoHash: Buffer.from(view.infoHash.subarray(0, view.infoHashLength)).toString('hex'),
    said: last.said,
  };
}
