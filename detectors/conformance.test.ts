/**
 * What every detector must do, whoever wrote it: its matches are Yes with the declared sentence, its near misses and
 * cut-off openings are not, nobody else's matches are, and random bytes are a hint at the most. A new detector is covered by being
 * in the registry and having a folder in fixtures/detectors.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Engine } from '../lib/engine/engine.js';
import { fakePacket } from '../lib/flow/testing.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import { repositoryPath, SeededRandom } from '../lib/testing.js';
import { More, Yes, type Detector } from './detector.js';
import { parseFixture, runDetector, type Fixture, type Run } from './harness.js';
import { registry } from './index.js';
import { everyDetector as detectors } from './testing.js';

const folder = repositoryPath('fixtures', 'detectors');

/** Matches of one detector (or one of its files) that another may say Yes to as well, each with the reason. */
const allowed: readonly { match: string; also: string; because: string }[] = [
  {
    match: 'http-tracker/',
    also: 'web-seed',
    because: 'an announce names its client too; the tracker detector decides at once',
  },
  {
    match: 'http-tracker/',
    also: 'web-download',
    because:
      'a general downloader that announces to a tracker is still a downloader; a hint changes nothing then',
  },
  {
    match: 'web-seed/',
    also: 'web-download',
    because: 'two readings of one User-Agent; the stronger one decides',
  },
  {
    match: 'torrent-file/',
    also: 'web-seed',
    because: 'a torrent client that fetches a metainfo file names itself',
  },
  {
    match: 'torrent-file/',
    also: 'web-download',
    because: 'a downloader that fetches a metainfo file names itself',
  },
  {
    match: 'peer-handshake-late/',
    also: 'mse',
    because: 'a handshake comes late because an MSE exchange came first',
  },
  {
    match: 'mse/match/fifth-plain',
    also: 'peer-handshake-late',
    because: 'an MSE exchange that chose plaintext goes on with a plain handshake',
  },
  {
    match: 'peer-messages/match/mse-requests',
    also: 'mse',
    because: 'one side of an MSE exchange that chose plaintext: its key is as random as any',
  },
];

interface NamedFixture {
  readonly name: string;
  readonly fixture: Fixture;
}

function load(detector: string, kind: 'match' | 'near' | 'short'): NamedFixture[] {
  const path = join(folder, detector, kind);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name.endsWith('.hex'))
    .sort()
    .map((name) => ({
      name: `${detector}/${kind}/${name}`,
      fixture: parseFixture(readFileSync(join(path, name), 'utf8')),
    }));
}

const matches = new Map(detectors.map((detector) => [detector.name, load(detector.name, 'match')]));

/**
 * What a detector says of a flow in the end. After a hint it is asked on, as the engine does, and a datagram that was
 * worth a hint is kept as one that was worth More; the hint counts if nothing better follows.
 */
function lastWord(detector: Detector, fixture: Parameters<typeof runDetector>[1]): Run {
  const better: Detector = {
    ...detector,
    inspect(view) {
      const outcome = detector.inspect(view);
      return outcome === Yes && detector.findings[view.finding]!.confidence === 'hint' ? More : outcome;
    },
  };
  const run = runDetector(better, fixture);
  return run.outcome === Yes ? run : runDetector(detector, fixture);
}

/** The fixture with its last packet cut to `length` bytes. */
function cut(fixture: Fixture, length: number): Fixture {
  const last = fixture.steps.at(-1)!;
  return {
    ...fixture,
    steps: [...fixture.steps.slice(0, -1), { ...last, payload: last.payload.slice(0, length) }],
  };
}

const engines = new Map<string, { engine: Engine; found: string[] }>();

/** An engine with one detector only; made once, since its tables are large. */
function engineOf(detector: Detector): { engine: Engine; found: string[] } {
  const made = engines.get(detector.name);
  if (made !== undefined) return made;
  const flow = new EndedFlowView(() => 'fixture');
  const found: string[] = [];
  const engine = new Engine({
    registry: { ...registry, detectors: [detector] },
    flowsMax: 64,
    hashSeed: 1,
    onEnd: (owner, slot) => {
      flow.show(owner, slot);
      found.push(...flow.report().evidence.map(({ finding }) => finding));
    },
  });
  engines.set(detector.name, { engine, found });
  return { engine, found };
}

/** What one detector finds when the fixture's payloads come as packets through the engine. */
function findingsInEngine(detector: Detector, fixture: Fixture): string[] {
  const { engine, found } = engineOf(detector);
  found.length = 0;
  const client = ['10.0.0.1', fixture.clientPort] as const;
  const server = ['10.0.0.2', fixture.serverPort] as const;
  const next = { true: 1, false: 1 };
  if (fixture.fromStart && detector.transport === 'tcp') {
    const syn = fakePacket({ from: client, to: server, flags: 0x02, sequence: 0 });
    const answer = fakePacket({ from: server, to: client, flags: 0x12, sequence: 0, acknowledgement: 1 });
    if (fixture.oneWay !== 'server') engine.packet(syn, 60, 1, 0);
    if (fixture.oneWay !== 'client') engine.packet(answer, 60, 1, 0);
  }
  for (const { fromClient, payload } of fixture.steps) {
    const [from, to] = fromClient ? [client, server] : [server, client];
    const sequence = next[`${fromClient}`];
    const acknowledgement = next[`${!fromClient}`];
    next[`${fromClient}`] += payload.length;
    // Not captured.
    if (fixture.oneWay !== null && (fixture.oneWay === 'client') !== fromClient) continue;
    engine.packet(
      fakePacket({ proto: detector.transport, from, to, sequence, acknowledgement, payload }),
      60 + payload.length,
      1,
      0,
    );
  }
  engine.flows.endAll();
  return found;
}

/** Those of the sentences that weigh more than a hint. */
function beyondHints(detector: Detector, said: readonly string[]): string[] {
  return said.filter(
    (sentence) => detector.findings.find(({ text }) => text === sentence)?.confidence !== 'hint',
  );
}

function applies(detector: Detector, fixture: Fixture): boolean {
  return detector.where === 'anywhere' || (detector.where === 'start') === fixture.fromStart;
}

for (const detector of detectors) {
  describe(`detector ${detector.name}`, () => {
    test('says what it is', () => {
      assert.match(detector.name, /^[a-z][a-z0-9-]*$/);
      assert.match(detector.reference, /(BEP \d+|RFC \d+|WebTorrent|http)/);
      assert.ok(detector.packetsMax >= 1 && detector.packetsMax <= 64);
      assert.ok(detector.summary.length > 10 && detector.limits.length > 10);
      assert.ok(detector.findings.length > 0);
      const order = ['hint', 'strong', 'proof'];
      const highest = Math.max(...detector.findings.map((finding) => order.indexOf(finding.confidence)));
      assert.equal(detector.confidence, order[highest], 'its confidence is the highest of its findings');
    });

    test('says Yes to its matches, with the declared sentence', () => {
      const fixtures = matches.get(detector.name)!;
      assert.ok(fixtures.length > 0, 'no match fixtures');
      for (const { name, fixture } of fixtures) {
        assert.ok(applies(detector, fixture), `${name}: the engine would never ask`);
        const run = lastWord(detector, fixture);
        assert.equal(run.outcome, Yes, name);
        if (fixture.finding !== null) assert.equal(run.finding, fixture.finding, name);
        if (fixture.client !== null) assert.equal(run.client, fixture.client, name);
        if (fixture.infoHash !== null) assert.equal(run.infoHash, fixture.infoHash, name);
      }
    });

    test('says the same in the engine, which calls only who can begin with a byte', () => {
      for (const { name, fixture } of matches.get(detector.name)!) {
        const run = lastWord(detector, fixture);
        assert.ok(findingsInEngine(detector, fixture).includes(run.finding!), name);
      }
    });

    test('finds the same when a TCP segment is cut in two anywhere', () => {
      // In the middle of a stream a packet must begin with a message, or nothing can be said.
      if (detector.transport !== 'tcp' || detector.where === 'middle') return;
      for (const { name, fixture } of matches.get(detector.name)!) {
        const last = fixture.steps.at(-1)!;
        if (!fixture.fromStart) continue;
        for (let at = 1; at < last.payload.length; at++) {
          const steps = [
            ...fixture.steps.slice(0, -1),
            { ...last, payload: last.payload.slice(0, at) },
            { ...last, payload: last.payload.slice(at) },
          ];
          assert.ok(findingsInEngine(detector, { ...fixture, steps }).length > 0, `${name} cut at ${at}`);
        }
      }
    });

    test('never says Yes to a payload that does not begin with one of its first bytes', () => {
      const { firstBytes } = detector;
      if (firstBytes === null) return;
      const random = new SeededRandom(0xb17e);
      const payloads = [...matches.values()]
        .flat()
        .flatMap(({ fixture }) => fixture.steps.map(({ payload }) => payload));
      for (const original of payloads) {
        const payload = original.slice();
        do payload[0] = random.below(256);
        while (firstBytes.includes(payload[0]));
        const steps = [{ fromClient: true, payload }];
        const run = lastWord(detector, { steps, fromStart: false, clientPort: 50000, serverPort: 6881 });
        assert.notEqual(run.outcome, Yes, Buffer.from(payload).toString('hex'));
      }
    });

    test('has a match for each of its findings', () => {
      const said = new Set(
        matches.get(detector.name)!.map(({ fixture }) => lastWord(detector, fixture).finding),
      );
      // What the engine itself says is tested elsewhere: of a beginning, and of another program's uTP (cmd/other-utp.test.ts).
      const saidByEngine = new Set(detector.findings.map(({ elsewhere }) => elsewhere));
      saidByEngine.add(detector.beginning?.finding);
      const unsaid = detector.findings
        .filter(({ text }, index) => !said.has(text) && !saidByEngine.has(index))
        .map(({ text }) => text);
      assert.deepEqual(unsaid, []);
    });

    test('a cut-off match never throws, and is never another kind of thing', () => {
      for (const { name, fixture } of matches.get(detector.name)!) {
        const whole = lastWord(detector, fixture);
        const wholeKind = detector.findings.find(({ text }) => text === whole.finding)?.kind;
        for (let length = 0; length < fixture.steps.at(-1)!.payload.length; length++) {
          const run = lastWord(detector, cut(fixture, length));
          const kind = detector.findings.find(({ text }) => text === run.finding)?.kind;
          assert.ok(run.outcome !== Yes || kind === wholeKind, `${name} cut to ${length}`);
        }
      }
    });

    test('does not believe near misses and short ones', () => {
      const near = load(detector.name, 'near');
      const short = load(detector.name, 'short');
      assert.ok(near.length > 0, 'no near fixtures');
      assert.ok(short.length > 0, 'no short fixtures');
      for (const { name, fixture } of [...near, ...short]) {
        if (!applies(detector, fixture)) continue;
        const run = lastWord(detector, fixture);
        // What is declared beside a near miss is the hint that it is worth, and no more than that.
        const hint = detector.findings.find(
          ({ confidence, text }) => confidence === 'hint' && text === fixture.finding,
        );
        if (fixture.mayBeHint) assert.deepEqual(beyondHints(detector, run.said), [], name);
        else if (hint === undefined) assert.notEqual(run.outcome, Yes, name);
        else assert.equal(run.finding, hint.text, name);
        if (fixture.near !== null) assert.equal(run.near, fixture.near, name);
      }
    });

    test('leaves the matches of others alone', () => {
      for (const [owner, fixtures] of matches) {
        const other = detectors.find(({ name }) => name === owner)!;
        if (owner === detector.name || other.transport !== detector.transport) continue;
        for (const { name, fixture } of fixtures) {
          if (!applies(detector, fixture)) continue;
          if (allowed.some(({ match, also }) => name.startsWith(match) && also === detector.name)) continue;
          assert.notEqual(lastWord(detector, fixture).outcome, Yes, `${detector.name} on ${name}`);
        }
      }
    });

    test('never says Yes to random bytes', () => {
      const random = new SeededRandom(0x5eed);
      for (let round = 0; round < 20_000; round++) {
        const steps = [
          { fromClient: true, payload: random.bytes(1 + random.below(80)) },
          { fromClient: false, payload: random.bytes(1 + random.below(80)) },
        ];
        const run = lastWord(detector, {
          steps,
          fromStart: round % 2 === 0,
          clientPort: 50000,
          serverPort: 6881,
        });
        assert.notEqual(run.outcome, Yes, Buffer.from(steps[0]!.payload).toString('hex'));
      }
    });

    test('says no more than hints about three turns of long random bytes', () => {
      const random = new SeededRandom(0x10e6);
      for (let round = 0; round < 1000; round++) {
        const steps = Array.from({ length: 3 }, (_, turn) => ({
          fromClient: turn % 2 === 0,
          payload: random.bytes(1 + random.below(1460)),
        }));
        const fromStart = round % 2 === 0;
        const flow = { steps, fromStart, clientPort: 50000, serverPort: 6881, mayBeHint: true };
        assert.deepEqual(beyondHints(detector, runDetector(detector, flow).said), [], `round ${round}`);
      }
    });
  });
}

test('every fixture folder belongs to a detector, and names are unique', () => {
  const names = detectors.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  const strangers = readdirSync(folder).filter((name) => !names.includes(name));
  assert.deepEqual(strangers, []);
});

test('on a flow of another program, what only knows the transport is a hint of the same detector', () => {
  for (const { name, findings } of detectors) {
    for (const [index, { text, elsewhere }] of findings.entries()) {
      if (elsewhere !== undefined) assert.equal(findings[elsewhere]?.confidence, 'hint', `${name}: ${text}`);
      if (name !== 'utp' || index === findings[0]!.elsewhere) continue;
      // Of uTP only what is inside is BitTorrent's own.
      assert.equal(elsewhere === undefined, text.includes('inside a uTP data packet'), text);
    }
  }
  const speakers = registry.otherProtocols.filter((_, index) => registry.speaksUtp(index));
  assert.deepEqual(speakers, ['hyperswarm']);
});

test('other protocols are named uniquely and index 0 means none', () => {
  assert.equal(registry.otherProtocols[0], '');
  assert.equal(new Set(registry.otherProtocols).size, registry.otherProtocols.length);
  assert.ok(registry.otherProtocols.length < 256, 'the index is kept in one byte');
});
