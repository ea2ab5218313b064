/** uTP carries more than BitTorrent: the first datagrams of a flow may say whose it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromHex } from '../lib/testing.js';
import { ActionPolicy, Pass, type ActionOptions } from '../lib/engine/action.js';
import { fakePacket } from '../lib/flow/testing.js';
import { type End, handshake, random, type Said, Town } from './encrypted-testing.js';

const node: End = ['10.0.0.1', 49_800];
const other: End = ['198.51.100.7', 6881];

// As Hyperswarm 2.15 with utp-native 2.5 sent them (November 2026): libutp's own connection behind its DHT's messages.
const query = fromHex(
  '5801080110efaf0252065018630a1ae11a20331ee05d70df31496cca2125f2a88850d3f32a104b7d85be2fedb9443df554023a0a5f686f6c6570756e6368',
);
const answer = fromHex(
  '5801080310efaf025206503b630ac2881a20080b6fad5516d73fb901ed89d77bf5cffc6fad4f9b5d5b1580a1a6121eaca82732201484811e6d300dbd9ae6e4e9e88eb5235427855e41cfee5b409152c34ed4fb81',
);
const talk: Said[] = [
  ['>', query],
  ['<', answer],
];
const syn = fromHex('41004567e9c1c31f000000000010000023c60000');
const state = fromHex('21004567e9c1cb5d0000000000100000456723c6');
const data = (header: string, payload = random(1382)): Uint8Array => concat(fromHex(header), payload);
const utp = (payload?: Uint8Array): Said[] => [
  ['>', syn],
  ['<', state],
  ['>', data('01004568e9c69dd8000032fd0010000023c74566', payload)],
  ['<', data('01004567e9c69ea70000004f00100000456723c6')],
  ['<', fromHex('21004567e9c69fe20000004f00100000456823c7')],
  ['>', data('01004568e9c6a109000001230010000023c84567')],
  ['>', data('01004568e9c6a11d000001230010000023c94567')],
];

function flowOf(said: readonly Said[]) {
  const town = new Town('shape');
  town.udp(node, other, said);
  return town.flow(node[0], other);
}

test('uTP alone is BitTorrent: from its request, from its data, by a request that is sent again', () => {
  for (const said of [utp(), utp().slice(2)]) {
    const flow = flowOf(said);
    assert.deepEqual([flow.verdict, flow.kind], ['bittorrent', 'utp']);
  }
  assert.equal(askedTwice([]), 'bittorrent');
});

test('uTP of a program whose own messages were seen is a hint, and says why', () => {
  for (const said of [utp(), utp().slice(2)]) {
    const flow = flowOf([...talk, ...said]);
    assert.deepEqual([flow.verdict, flow.reason, flow.protocol], ['suspect', 'single-hint', 'hyperswarm']);
    assert.match(
      flow.evidence[0]!.finding,
      /^uTP, but its two ports also spoke the messages of another program/,
    );
  }
  assert.equal(askedTwice(talk), 'suspect');
});

function askedTwice(before: readonly Said[]): string {
  const town = new Town('shape');
  town.udp(node, other, [...before, ['>', syn]]);
  town.now += 3;
  town.udp(node, other, [['>', fromHex('41004567e9efe2ff000000000010000023c60000')]]);
  return town.verdict(node[0], other);
}

test('its ends are not remembered as peers', () => {
  for (const [before, verdict] of [
    [[], 'bittorrent'],
    [talk, 'suspect'],
  ] as const) {
    const town = new Town();
    town.udp(node, other, [...before, ...utp()]);
    town.udp(['10.0.0.2', 51_413], other, [['>', syn]]);
    assert.equal(town.verdict('10.0.0.2', other), verdict);
  }
});

test('but peers that are remembered count there', () => {
  const town = new Town();
  town.udp(['10.0.0.2', 51_413], other, utp());
  town.udp(node, other, [...talk, ['>', syn]]);
  assert.equal(town.verdict(node[0], other), 'bittorrent');
});

test('the peer handshake inside counts whatever came before', () => {
  const flow = flowOf([...talk, ...utp(handshake)]);
  assert.deepEqual([flow.verdict, flow.kind], ['bittorrent', 'utp']);
});

test('the filter looks at such a flow for as long as at one without a name', () => {
  const options: ActionOptions = {
    ...{ default: 'reject', kinds: {}, inspectedPackets: 12, inspectedPacketsClear: 4 },
    ...{ blocks: true, allowedInfoHashes: new Set() },
  };
  const { engine } = new Town();
  const policy = new ActionPolicy(engine, options, () => undefined);
  let looked = 0;
  for (let i = 0; i < 20; i++) {
    const ends = i % 2 === 0 ? { from: node, to: other } : { from: other, to: node };
    const packet = fakePacket({ proto: 'udp', ...ends, payload: i % 2 === 0 ? query : answer });
    const verdict = engine.packet(packet, 100, i + 1, 0);
    if (policy.judge(engine.slot, verdict) === Pass) looked++;
  }
  assert.equal(looked, options.inspectedPackets - 1);
});
