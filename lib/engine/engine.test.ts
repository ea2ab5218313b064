import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { More, No, View, yesInPayload, type Detector } from '../../detectors/detector.js';
import { evidenceMax, evidencePerFlowMax, openingBytes, openingsMax } from '../limits.js';
import { fromText } from '../testing.js';
import { base, Bench, down, letterDetector, openingDetector, up, word } from './testing.js';
import { Engine } from './engine.js';
import { EvidenceStore } from './evidence.js';

test('a small table has small pools beside it, one opening for each side of a flow', () => {
  const registry = {
    detectors: [openingDetector()],
    otherProtocols: [],
    recogniseOther: () => 0,
    speaksUtp: () => false,
  };
  const engine = new Engine({ registry, flowsMax: 64, hashSeed: 1, onEnd: () => undefined });
  assert.equal(engine.inspector.openings.bytes.length, 64 * 2 * openingBytes);
  assert.equal(engine.inspector.evidence.detector.length, 64 * 2 * evidencePerFlowMax);
  const usual = new Engine({ registry, flowsMax: 262_144, hashSeed: 1, onEnd: () => undefined });
  assert.equal(usual.inspector.openings.bytes.length, openingsMax * openingBytes);
  assert.equal(usual.inspector.evidence.detector.length, evidenceMax);
});

test('a proof decides; the record says which packet, what passed before, and where it was found', () => {
  const b = new Bench([openingDetector()]);
  b.send({ ...up, flags: 2, sequence: 99 });
  b.send({ ...down, flags: 0x12, sequence: 499 });
  b.send({ ...down, sequence: 500, payload: fromText('banner') });
  assert.equal(b.send({ ...up, sequence: 100, payload: word }), 3);
  assert.equal(b.send({ ...up, sequence: 111, payload: fromText('rest') }), 3);
  const [report] = b.end();
  assert.equal(report!.verdict, 'bittorrent');
  assert.equal(report!.reason, 'proof');
  assert.equal(report!.kind, 'peer');
  assert.equal(report!.client, '10.0.0.1');
  assert.equal(report!.decided_packet, 4);
  assert.equal(report!.decided_frame, 4);
  assert.equal(report!.payload_bytes_before_decision, 6);
  assert.equal(report!.packets, 5);
  assert.deepEqual(
    report!.evidence.map(({ detector, side, packet, frame, of, offset, length }) => ({
      detector,
      side,
      packet,
      frame,
      of,
      offset,
      length,
    })),
    [
      {
        detector: 'opening',
        side: 'client',
        packet: 4,
        frame: 4,
        of: 'opening',
        offset: 0,
        length: word.length,
      },
    ],
  );
});

describe('TCP openings', () => {
  test('property: the word is found however it is cut, reordered and repeated', () => {
    const stream = fromText('\x13BitTorrent protocol and more');
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 4, maxLength: 12 }),
        fc.array(fc.nat(20), { maxLength: 6 }),
        fc.integer({ min: -0x80000000, max: 0x7fffffff }),
        fc.nat(1000),
        (cuts, repeats, isn, shuffle) => {
          const pieces: { at: number; payload: Uint8Array }[] = [];
          for (let at = 0, i = 0; at < stream.length; i++) {
            const length = cuts[i % cuts.length]!;
            pieces.push({ at, payload: stream.slice(at, at + length) });
            at += length;
          }
          for (const index of repeats) pieces.push(pieces[index % pieces.length]!);
          pieces.sort((x, y) => ((x.at * 7919 + shuffle) % 31) - ((y.at * 7919 + shuffle) % 31));
          const b = new Bench([openingDetector()]);
          b.send({ ...up, flags: 2, sequence: isn - 1 });
          for (const { at, payload } of pieces) b.send({ ...up, sequence: isn + at, payload });
          assert.equal(b.end()[0]!.verdict, 'bittorrent');
        },
      ),
      { numRuns: 200 },
    );
  });

  test('the word later in the stream is not the stream’s beginning', () => {
    const b = new Bench([openingDetector()]);
    b.send({ ...up, flags: 2, sequence: 0 });
    b.send({ ...up, sequence: 1, payload: fromText('GET /') });
    b.send({ ...up, sequence: 6, payload: word });
    assert.equal(b.end()[0]!.verdict, 'unknown');
  });

  test('a segment that fills a gap later does not hide the word', () => {
    const b = new Bench([openingDetector()]);
    b.send({ ...up, flags: 2, sequence: 0 });
    b.send({ ...up, sequence: 4, payload: word.slice(3) });
    b.send({ ...up, sequence: 4, payload: word.slice(3) });
    assert.equal(b.send({ ...up, sequence: 1, payload: word.slice(0, 3) }), 3);
  });

  test('data on the SYN is the start of the stream', () => {
    const b = new Bench([openingDetector()]);
    assert.equal(b.send({ ...up, flags: 2, sequence: 7, payload: word }), 3);
  });

  test('a keep-alive byte before the first data does not shift the stream', () => {
    const b = new Bench([openingDetector()]);
    b.send({ ...up, flags: 2, sequence: 99 });
    b.send({ ...up, sequence: 99, payload: fromText('\0') });
    assert.equal(b.send({ ...up, sequence: 100, payload: word }), 3);
  });

  test('more than an opening holds ends the question, and nothing is left in the pool', () => {
    const greedy: Detector = { ...base('greedy', 'proof'), scope: 'opening', inspect: () => More };
    const b = new Bench([greedy]);
    b.send({ ...up, flags: 2, sequence: 0 });
    const payload = new Uint8Array(1000);
    for (let at = 0; at < openingBytes + 3000; at += 1000) b.send({ ...up, sequence: 1 + at, payload });
    assert.equal(b.engine.inspector.openings.used, 0);
    assert.equal(b.end()[0]!.verdict, 'unknown');
  });

  test('when the pool is full the oldest opening is taken over and its flow goes on without', () => {
    const greedy: Detector = { ...base('greedy', 'proof'), scope: 'opening', inspect: () => More };
    const b = new Bench([greedy], openingsMax + 10);
    for (let i = 0; i < openingsMax + 5; i++) {
      const end = [`10.1.${i >> 8}.${i & 255}`, 4000] as const;
      b.send({ from: end, to: ['10.0.0.9', 6881], flags: 2, sequence: 0 });
      b.send({ from: end, to: ['10.0.0.9', 6881], sequence: 1, payload: fromText('x') });
    }
    assert.equal(b.engine.inspector.openings.takenOver, 5);
    b.send({ from: ['10.1.0.0', 4000], to: ['10.0.0.9', 6881], sequence: 2, payload: fromText('y') });
    assert.equal(b.end().length, openingsMax + 5);
    assert.equal(b.engine.inspector.openings.used, 0);
  });
});

test('a detector sees both openings, the direction and the ports', () => {
  const seen: string[] = [];
  const spy: Detector = {
    ...base('spy', 'hint'),
    inspect: (view: View) => {
      const text = (bytes: Uint8Array, from: number, to: number): string =>
        Buffer.from(bytes.subarray(from, to)).toString('latin1');
      seen.push(
        [
          view.fromClient ? '>' : '<',
          text(view.bytes, view.start, view.end),
          text(view.opening, view.openingStart, view.openingEnd),
          text(view.other, view.otherStart, view.otherEnd),
          view.sourcePort,
          view.destinationPort,
          view.payloadPacket,
          view.fromStart,
        ].join(' '),
      );
      return More;
    },
  };
  const b = new Bench([spy]);
  b.send({ ...up, flags: 2, sequence: 0 });
  b.send({ ...up, sequence: 1, payload: fromText('ab') });
  b.send({ ...down, sequence: 77, payload: fromText('cd') });
  b.send({ ...up, sequence: 3, payload: fromText('ef') });
  assert.deepEqual(seen, [
    '> ab ab  50000 6881 1 true',
    '< cd cd ab 6881 50000 1 false',
    '> ef abef cd 50000 6881 2 true',
  ]);
});

test('where: middle and start detectors are asked by whether the SYN was seen', () => {
  const asked: string[] = [];
  const note = (name: 'start' | 'middle'): Detector => ({
    ...base(name, 'hint'),
    where: name,
    inspect: () => {
      asked.push(name);
      return No;
    },
  });
  const b = new Bench([note('start'), note('middle')]);
  b.send({ ...up, flags: 2, sequence: 0 });
  b.send({ ...up, sequence: 1, payload: fromText('a') });
  b.send({ from: ['10.0.0.7', 1], to: ['10.0.0.8', 2], sequence: 1, payload: fromText('a') });
  assert.deepEqual(asked, ['start', 'middle']);
});

describe('weighing', () => {
  const strong = letterDetector('one', 'strong', 's', {
    findings: [{ text: 'one said so', kind: 'peer', confidence: 'strong', repeatable: true }],
  });
  const hint = letterDetector('two', 'hint', 'h');

  test('one strong item makes a suspect, two of different packets decide', () => {
    const b = new Bench([strong]);
    assert.equal(b.send({ ...up, sequence: 1, payload: fromText('s') }), 2);
    assert.equal(b.send({ ...up, sequence: 2, payload: fromText('s') }), 3);
    const [report] = b.end();
    assert.equal(report!.reason, 'two-strong');
    assert.equal(report!.decided_packet, 2);
  });

  test('two strong items of one packet are not independent', () => {
    const b = new Bench([strong, letterDetector('other', 'strong', 's')]);
    assert.equal(b.send({ ...up, sequence: 1, payload: fromText('s') }), 2);
    assert.equal(b.end()[0]!.reason, 'single-strong');
  });

  test('a strong item and a hint of another detector decide, hints alone never', () => {
    const b = new Bench([strong, hint]);
    assert.equal(b.send({ ...up, sequence: 1, payload: fromText('h') }), 2);
    assert.equal(b.send({ ...up, sequence: 2, payload: fromText('h') }), 2);
    assert.equal(b.send({ ...up, sequence: 3, payload: fromText('s') }), 3);
    assert.equal(b.end()[0]!.reason, 'strong-and-hint');
  });

  test('a retransmitted packet is not a second item', () => {
    const b = new Bench([strong]);
    b.send({ ...up, flags: 2, sequence: 0 });
    b.send({ ...up, sequence: 1, payload: fromText('s') });
    assert.equal(b.send({ ...up, sequence: 1, payload: fromText('s') }), 2);
  });
});

test('a strong item said again about the same side is no second item, unless its finding is repeatable', () => {
  const polling = letterDetector('polling', 'strong', 's');
  const b = new Bench([polling]);
  b.send({ ...up, sequence: 1, payload: fromText('s') });
  assert.equal(b.send({ ...up, sequence: 2, payload: fromText('s') }), 2);
  assert.equal(b.send({ ...down, sequence: 1, payload: fromText('s') }), 3);
});

test('hints, however often, leave room for what decides', () => {
  const b = new Bench([
    letterDetector('one', 'strong', 's'),
    letterDetector('two', 'hint', 'h', { packetsMax: 64 }),
  ]);
  for (let i = 0; i < 7; i++) b.send({ ...up, sequence: 1 + i, payload: fromText('h') });
  assert.equal(b.send({ ...up, sequence: 9, payload: fromText('s') }), 3);
});

test('near misses take half of the evidence pool at the most', () => {
  const store = new EvidenceStore(8);
  const view = new View();
  const where = { side: 0, packet: 1, frame: 1, file: 0, timeMicros: 0 };
  const near = Array.from({ length: 6 }, (_, i) => store.add(-1, 0, i, 0, where, view));
  assert.equal(near.filter((item) => item >= 0).length, 4);
  assert.equal(store.dropped, 2);
  const strong = Array.from({ length: 5 }, (_, i) => store.add(-1, 0, i, 2, where, view));
  assert.equal(strong.filter((item) => item >= 0).length, 4);
  store.release(near[0]!);
  assert.ok(store.add(-1, 0, 0, 0, where, view) >= 0);
});

test('UDP: a datagram stays for comparison when its side has used up its packets', () => {
  const pairing: Detector = {
    ...base('pairing', 'proof'),
    transport: 'udp',
    packetsMax: 2,
    inspect: (view) => (view.otherEnd > view.otherStart ? yesInPayload(view, 0, view.start, view.end) : More),
  };
  const b = new Bench([pairing]);
  for (let i = 0; i < 5; i++) b.send({ proto: 'udp', ...up, payload: fromText('m') });
  assert.equal(b.send({ proto: 'udp', ...down, payload: fromText('m') }), 3);
});

test('a near miss is recorded once, with its reason, and changes no verdict', () => {
  const near: Detector = {
    ...base('near', 'proof'),
    inspect: (view) => {
      view.near = 0;
      return No;
    },
  };
  const b = new Bench([near]);
  b.send({ ...up, sequence: 1, payload: fromText('hello') });
  b.send({ ...up, sequence: 6, payload: fromText('again') });
  const [report] = b.end();
  assert.equal(report!.verdict, 'clear');
  assert.equal(report!.protocol, 'hello');
  assert.equal(report!.reason, 'other-protocol');
  assert.deepEqual(report!.evidence, []);
  assert.deepEqual(
    report!.near_misses.map(({ finding, confidence }) => [finding, confidence]),
    [['almost', 'near']],
  );
});

test('packetsMax ends the questions of one detector, and of all the flow', () => {
  const few = letterDetector('few', 'proof', 'z', { packetsMax: 2 });
  const b = new Bench([few]);
  for (let i = 0; i < 5; i++) b.send({ ...up, sequence: 1 + i, payload: fromText('a') });
  for (let i = 0; i < 5; i++) b.send({ ...down, sequence: 1 + i, payload: fromText('a') });
  assert.equal(b.engine.inspector.detectorCalls, 4);
  assert.equal(b.end()[0]!.reason, 'nothing-matched');
});

test('a SYN with a new sequence number on a used five-tuple begins a new flow, a repeated SYN does not', () => {
  const b = new Bench([openingDetector()]);
  b.send({ ...up, flags: 2, sequence: 10 });
  b.send({ ...up, flags: 2, sequence: 10 });
  b.send({ ...up, sequence: 11, payload: fromText('GET /') });
  b.send({ ...up, flags: 2, sequence: 9000 });
  assert.equal(b.send({ ...up, sequence: 9001, payload: word }), 3);
  const reports = b.end();
  assert.deepEqual(
    reports.map(({ verdict, packets }) => [verdict, packets]),
    [
      ['unknown', 3],
      ['bittorrent', 2],
    ],
  );
});

test('UDP: the datagram that was answered More is shown with the next one, and from the other side', () => {
  const seen: string[] = [];
  const text = (bytes: Uint8Array, from: number, to: number): string =>
    Buffer.from(bytes.subarray(from, to)).toString('latin1');
  const spy: Detector = {
    ...base('spy', 'proof'),
    transport: 'udp',
    inspect: (view) => {
      seen.push(
        `${text(view.bytes, view.start, view.end)}|${text(view.opening, view.openingStart, view.openingEnd)}|${text(view.other, view.otherStart, view.otherEnd)}|${view.otherWireLength}`,
      );
      return view.bytes[view.start] === 0x6d ? More : No;
    },
  };
  const b = new Bench([spy]);
  b.send({ proto: 'udp', ...up, payload: fromText('m1'), wireLength: 900 });
  b.send({ proto: 'udp', ...down, payload: fromText('x') });
  b.send({ proto: 'udp', ...up, payload: fromText('n') });
  b.send({ proto: 'udp', ...up, payload: fromText('m2') });
  b.send({ proto: 'udp', ...up, payload: fromText('n') });
  assert.deepEqual(seen, ['m1|||0', 'x||m1|900', 'n|m1||0', 'm2|m1||0', 'n|m2||0']);
});
