/**
 * Test support: reads hex fixtures and drives one detector over the packets of one flow as the engine does, with each
 * side's opening kept after More.
 *
 * Fixture text: `>` starts a payload packet from client to server, `<` one from server to client; hex digits follow,
 * on as many lines as wanted, and `"text"` in double quotes stands for its ASCII bytes (\r \n \\ \" \xNN allowed).
 * `#` starts a comment. `! middle` says that the flow's start was not seen; `! ports 51413 6881` sets client and
 * server port; `! finding TEXT` (match fixtures) is the sentence the detector must say; `! client TEXT` and
 * `! info-hash HEX` what it must note.
 */
import { More, View, Yes, type Detector, type Outcome } from './detector.js';

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
}

export interface Run {
  /** The answer to the last packet asked about: Yes ends the run. */
  readonly outcome: Outcome;
  /** Index of the step of that answer. */
  readonly step: number;
  readonly finding: string | null;
  readonly near: string | null;
  readonly client: string;
  readonly infoHash: string;
}

/** Parses fixture text. @throws Error with the line number if it is not in the form above. */
export function parseFixture(text: string): Fixture {
  const steps: { fromClient: boolean; bytes: number[] }[] = [];
  const fixture = { fromStart: true, clientPort: 51413, serverPort: 6881 };
  const expected: Record<string, string> = {};
  for (const [index, raw] of text.split('\n').entries()) {
    let line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('!')) {
      const [word, ...rest] = line.slice(1).trim().split(/\s+/);
      if (word === 'middle') fixture.fromStart = false;
      else if (word === 'ports')
        [fixture.clientPort, fixture.serverPort] = rest.map(Number) as [number, number];
      else if (word === 'finding' || word === 'client' || word === 'info-hash')
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
  };
}

const escapes: Record<string, number> = { r: 13, n: 10, t: 9, '0': 0, '\\': 92, '"': 34 };

function parseLine(line: string, number: number): number[] {
  const bytes: number[] = [];
  let at = 0;
  while (at < line.length) {
    const character = line[at]!;
    if (character === '#') break;
    if (/\s/.test(character)) at++;
    else if (character === '"') {
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

/** Drives `detector` over a flow until it says Yes or the packets end. */
export function runDetector(
  detector: Detector,
  fixture: Pick<Fixture, 'steps' | 'fromStart' | 'clientPort' | 'serverPort'>,
): Run {
  const view = new View();
  const sides = {
    true: { kept: none, packets: 0, done: false },
    false: { kept: none, packets: 0, done: false },
  };
  let last: Run = { outcome: 0, step: -1, finding: null, near: null, client: '', infoHash: '' };
  for (const [step, { fromClient, payload }] of fixture.steps.entries()) {
    const own: Side = sides[`${fromClient}`];
    const other: Side = sides[`${!fromClient}`];
    own.packets++;
    const tcp = detector.transport === 'tcp';
    if (tcp) own.kept = Uint8Array.from([...own.kept, ...payload]).slice(0, openingMax);
    if (own.done || own.packets > detector.packetsMax) continue;
    showView(view, detector, own, other, payload);
    view.fromClient = fromClient;
    view.fromStart = fixture.fromStart || !tcp;
    view.sourcePort = fromClient ? fixture.clientPort : fixture.serverPort;
    view.destinationPort = fromClient ? fixture.serverPort : fixture.clientPort;
    const outcome = detector.inspect(view);
    last = {
      outcome,
      step,
      finding:
        outcome === Yes ? (detector.findings[view.finding]?.text ?? `no finding ${view.finding}`) : null,
      near:
        outcome === 0 && view.near >= 0
          ? (detector.nearMisses[view.near] ?? `no near miss ${view.near}`)
          : last.near,
      client: Buffer.from(view.client.subarray(0, view.clientLength)).toString('latin1'),
      infoHash: Buffer.from(view.infoHash.subarray(0, view.infoHashLength)).toString('hex'),
    };
    if (outcome === Yes) return last;
    if (!tcp) own.kept = outcome === More ? payload : own.kept;
    if (outcome === 0 && detector.scope === 'opening') own.done = true;
  }
  return last;
}
