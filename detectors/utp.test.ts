import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, SeededRandom } from '../lib/testing.js';
import { More, No, View, Yes, type Outcome } from './detector.js';
import { runDetector } from './harness.js';
import { utp } from './utp.js';

interface Fields {
  type: number;
  id: number;
  clock: number;
  difference: number;
  window: number;
  seq: number;
  ack: number;
  extension?: number;
  rest?: Uint8Array;
}

function packet(fields: Fields): Uint8Array {
  const header = new Uint8Array(20);
  const data = new DataView(header.buffer);
  data.setUint8(0, (fields.type << 4) | 1);
  data.setUint8(1, fields.extension ?? 0);
  data.setUint16(2, fields.id);
  data.setUint32(4, fields.clock);
  data.setUint32(8, fields.difference);
  data.setUint32(12, fields.window);
  data.setUint16(16, fields.seq);
  data.setUint16(18, fields.ack);
  return concat(header, fields.rest ?? new Uint8Array(0));
}

const clock = 0x5b3c9e11;
const farClock = 0x0badf00d;
const syn: Fields = { type: 4, id: 700, clock, difference: 0, window: 0x100000, seq: 4000, ack: 0 };
const answer: Fields = {
  type: 2,
  id: 700,
  clock: farClock,
  difference: farClock - clock - 300,
  window: 0x100000,
  seq: 9000,
  ack: 4000,
};
const data: Fields = {
  type: 0,
  id: 31,
  clock,
  difference: 0x77665544,
  window: 0x100000,
  seq: 500,
  ack: 600,
  rest: new Uint8Array(50).fill(7),
};
const state: Fields = {
  type: 2,
  id: 30,
  clock: farClock,
  difference: farClock - clock - 300,
  window: 0x80000,
  seq: 601,
  ack: 500,
};

type Packets = readonly (readonly ['>' | '<', Fields])[];

function flow(packets: Packets) {
  const steps = packets.map(([side, fields]) => ({ fromClient: side === '>', payload: packet(fields) }));
  return { steps, fromStart: true, clientPort: 1, serverPort: 2 };
}

/** A detector that is asked on after a hint, as the engine does. */
const askedOn: typeof utp = {
  ...utp,
  inspect(view) {
    const outcome = utp.inspect(view);
    return outcome === Yes && utp.findings[view.finding]!.confidence === 'hint' ? More : outcome;
  },
};

/** What is said of a flow beyond the hint of its connection request. */
const run = (...packets: Packets) => runDetector(askedOn, flow(packets));
/** The hint itself, if it is the first thing said. */
const hintOf = (...packets: Packets) => runDetector(utp, flow(packets)).finding;
const hint = 'a uTP connection request, not yet answered (BEP 29)';

describe('a connection request', () => {
  test('alone is a hint, and kept for its answer', () => {
    assert.equal(hintOf(['>', syn]), hint);
    assert.equal(run(['>', syn]).outcome, More);
  });

  test('offers no window, or room for a packet', () => {
    for (const window of [0, 1024, 0x100000, 0x3ffffff])
      assert.equal(hintOf(['>', { ...syn, window }]), hint);
    for (const window of [1, 100, 1023]) assert.equal(hintOf(['>', { ...syn, window }]), null);
  });

  test('no other packet alone is a hint', () => {
    for (const fields of [data, state, { ...answer, type: 3 }, { ...syn, type: 2 }, { ...syn, type: 5 }])
      assert.equal(hintOf(['>', fields]), null);
  });

  const broken: readonly Partial<Fields>[] = [
    { difference: 1 }, { ack: 1 }, { seq: 0 }, { id: 0 }, { clock: 0x00010000 }, { window: 0x04000000 },
    { extension: 1 }, { extension: 3 }, { extension: 2 }, { rest: new Uint8Array(1) },
  ]; // prettier-ignore
  for (const change of broken) {
    test(`is none with ${JSON.stringify(change)}`, () => {
      assert.equal(run(['>', { ...syn, ...change }]).outcome, No);
      assert.equal(hintOf(['>', { ...syn, ...change }]), null);
    });
  }

  test('may carry extension bits of 8 bytes', () => {
    const rest = new Uint8Array(10);
    rest[1] = 8;
    assert.equal(run(['>', { ...syn, extension: 2, rest }]).outcome, More);
  });

  test('is believed with its answer, and only with its own', () => {
    assert.equal(run(['>', syn], ['<', answer]).outcome, Yes);
    assert.notEqual(run(['>', syn], ['<', { ...answer, id: 701 }]).outcome, Yes);
    assert.notEqual(run(['>', syn], ['<', { ...answer, ack: 3999 }]).outcome, Yes);
    assert.notEqual(run(['>', syn], ['<', { ...answer, difference: 5 }]).outcome, Yes);
    assert.notEqual(run(['<', answer], ['<', { ...answer, clock: farClock + 9 }]).outcome, Yes);
  });

  test('is believed when refused', () => {
    const reset = { ...answer, type: 3, clock: 0, difference: 0, window: 0 };
    assert.equal(run(['>', syn], ['<', reset]).outcome, Yes);
    assert.equal(run(['<', reset]).outcome, No);
  });

  test('is believed when sent again later, not when the same datagram is seen twice', () => {
    assert.equal(run(['>', syn], ['>', { ...syn, clock: clock + 3_000_000 }]).outcome, Yes);
    assert.equal(run(['>', syn], ['>', { ...syn, clock: clock + 3_000_000, id: 5, seq: 77 }]).outcome, Yes);
    assert.notEqual(run(['>', syn], ['>', syn]).outcome, Yes);
    assert.notEqual(run(['>', syn], ['>', { ...syn, clock: clock - 3_000_000 }]).outcome, Yes);
    assert.notEqual(run(['>', syn], ['>', { ...syn, clock: clock + 3_000_000, seq: 77 }]).outcome, Yes);
  });

  test('is believed with the data that follows it', () => {
    const next = { ...data, id: 701, seq: 4001, clock: clock + 50_000 };
    assert.equal(run(['>', syn], ['>', next]).outcome, Yes);
    assert.notEqual(run(['>', syn], ['>', { ...next, id: 700 }]).outcome, Yes);
    assert.notEqual(run(['>', syn], ['>', { ...next, seq: 4500 }]).outcome, Yes);
  });
});

describe('the middle of a connection', () => {
  test('two directions: ids differ by one, numbers acknowledge, clocks agree', () => {
    assert.equal(run(['>', data], ['<', state]).outcome, Yes);
    assert.equal(run(['>', data], ['<', { ...state, id: 32 }]).outcome, Yes);
    for (const change of [{ id: 31 }, { id: 33 }, { ack: 2000 }, { seq: 2000 }, { difference: 99 }]) {
      assert.notEqual(run(['>', data], ['<', { ...state, ...change }]).outcome, Yes, JSON.stringify(change));
    }
  });

  test('one direction is strong', () => {
    const next = { ...data, seq: 501, clock: clock + 900, difference: 0x77665544 + 20 };
    const { outcome, finding } = run(['>', data], ['>', next]);
    assert.equal(outcome, Yes);
    assert.equal(utp.findings.find(({ text }) => text === finding)?.confidence, 'strong');
    for (const change of [
      { id: 32 },
      { seq: 500 },
      { seq: 700 },
      { clock },
      { ack: 599 },
      { difference: 9 },
    ]) {
      assert.notEqual(run(['>', data], ['>', { ...next, ...change }]).outcome, Yes, JSON.stringify(change));
    }
  });

  test('an acknowledgement has no data, a data packet has', () => {
    assert.equal(run(['>', { ...state, rest: new Uint8Array(1) }]).outcome, No);
    assert.equal(run(['>', { ...data, rest: new Uint8Array(0) }]).outcome, No);
  });

  test('a packet cut by the capture is measured by its length on the wire', () => {
    const view = new View();
    view.bytes = packet({ ...data, rest: new Uint8Array(0) });
    view.end = 20;
    view.wireLength = 1400;
    assert.equal(utp.inspect(view), More);
    view.other = view.bytes;
    view.otherEnd = 20;
    view.otherWireLength = 1400;
    view.bytes = packet(state);
    view.wireLength = 20;
    assert.equal(utp.inspect(view), Yes);
  });
});

test('extension chains: known types once, exact lengths, inside the packet', () => {
  const outcome = (extension: number, ...rest: number[]): Outcome =>
    run(['>', { ...state, extension, rest: Uint8Array.from(rest) }]).outcome;
  assert.equal(outcome(1, 0, 4, 1, 2, 3, 4), More);
  assert.equal(outcome(3, 0, 4, 0, 0, 0, 1), More);
  assert.equal(outcome(1, 3, 4, 1, 2, 3, 4, 0, 4, 0, 0, 0, 1), More);
  assert.equal(outcome(1, 0, 5, 1, 2, 3, 4, 5), No);
  assert.equal(outcome(1, 0, 0), No);
  assert.equal(outcome(1, 1, 4, 1, 2, 3, 4, 0, 4, 1, 2, 3, 4), No);
  assert.equal(outcome(2, 0, 4, 1, 2, 3, 4), No);
  assert.equal(outcome(1, 0, 8, 1, 2, 3, 4), No);
  assert.equal(outcome(9, 0, 4, 1, 2, 3, 4), No);
});

test('random packets with a plausible first byte are never linked', () => {
  const random = new SeededRandom(29);
  for (let round = 0; round < 200_000; round++) {
    const steps = [0, 1, 2].map(() => {
      const payload = random.bytes(20 + random.below(3));
      payload[0] = (random.below(5) << 4) | 1;
      payload[1] = 0;
      payload[12] = 0;
      return { fromClient: random.below(2) === 0, payload };
    });
    assert.notEqual(
      runDetector(utp, { steps, fromStart: true, clientPort: 1, serverPort: 2 }).outcome,
      Yes,
      steps.map(({ payload }) => Buffer.from(payload).toString('hex')).join(' '),
    );
  }
});

describe('peer protocol in the data of one packet', () => {
  const carrying = (rest: Uint8Array): Outcome => run(['>', { ...data, rest }]).outcome;
  const words = (...values: readonly number[]) => {
    const bytes = new Uint8Array(4 * values.length);
    values.forEach((value, index) => {
      new DataView(bytes.buffer).setUint32(4 * index, value);
    });
    return bytes;
  };
  const request = concat(words(13), Uint8Array.of(6), words(3, 16384, 16384));

  test('messages that weigh a usual block are believed, light or broken ones are not', () => {
    assert.equal(carrying(request), Yes);
    assert.equal(carrying(concat(request, request.slice(0, 7))), Yes);
    assert.equal(carrying(concat(words(16393), Uint8Array.of(7), words(3, 0), new Uint8Array(100))), Yes);
    assert.equal(carrying(concat(words(5), Uint8Array.of(4), words(77))), More);
    assert.equal(carrying(concat(request, Uint8Array.of(0x78))), More);
    assert.equal(carrying(request.slice(0, 16)), More);
  });

  test('a handshake that the capture cut is believed from 8 bytes on', () => {
    const name = Uint8Array.from('\x13BitTorrent protocol', (character) => character.charCodeAt(0));
    const outcomeAt = (length: number, wireLength: number): Outcome => {
      const view = new View();
      view.bytes = packet({ ...data, rest: name.slice(0, length) });
      view.end = view.bytes.length;
      view.wireLength = wireLength;
      return utp.inspect(view);
    };
    assert.equal(outcomeAt(8, 88), Yes);
    assert.equal(outcomeAt(7, 88), More);
    assert.equal(outcomeAt(8, 67), More);
    assert.equal(outcomeAt(8, 28), More);
  });
});

describe('clocks that agree', () => {
  const first = { ...data, id: 0x3c40, difference: 131, seq: 0x4e00, ack: 0x2c00 };
  const next = { ...first, clock: clock + 900, difference: 72, seq: 0x4e01 };

  test('small delays are believed when all else is steady', () => {
    assert.equal(run(['>', first], ['>', next]).outcome, Yes);
    assert.equal(run(['>', first], ['>', { ...next, window: 0xfffa5 }]).outcome, Yes);
  });

  const doubtful: readonly Partial<Fields>[] = [
    { difference: 0 }, { difference: 11_000_000 }, { difference: -1 }, { window: 0x40000 }, { window: 0x300000 },
    { window: 0 }, { seq: 0x4e00 }, { ack: 0x2bff },
  ]; // prettier-ignore
  for (const change of doubtful) {
    test(`are not with ${JSON.stringify(change)}`, () => {
      assert.notEqual(run(['>', first], ['>', { ...next, ...change }]).outcome, Yes);
    });
  }

  test('nor with two of id and numbers that are small counters', () => {
    for (const small of [
      { id: 0x40, seq: 7 },
      { id: 0x40, ack: 7 },
      { seq: 7, ack: 7 },
    ]) {
      const changed = { ...first, ...small };
      const after = { ...changed, clock: clock + 900, seq: changed.seq + 1 };
      assert.notEqual(run(['>', changed], ['>', after]).outcome, Yes, JSON.stringify(small));
    }
    const changed = { ...first, id: 0xd7 };
    assert.equal(run(['>', changed], ['>', { ...next, id: 0xd7 }]).outcome, Yes);
  });
});
