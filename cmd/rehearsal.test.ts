import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { registry } from '../detectors/index.js';
import { AllowList } from '../lib/config/allow.js';
import { repositoryPath } from '../lib/testing.js';
import { rehearse } from './rehearsal.js';
import { rehearsalPackets } from './rehearsal-packets.js';
import { decodePacket } from '../lib/wire/decode.js';
import { linkRaw } from '../lib/wire/link.js';
import { Ok, Packet } from '../lib/wire/packet.js';

test('the rehearsal ends in time, with thousands of packets judged', () => {
  const began = performance.now();
  const packets = rehearse({
    registry,
    markMask: 0x7000_0000,
    pass: 'repeat',
    action: {
      default: 'reject',
      kinds: {},
      inspectedPackets: 32,
      inspectedPacketsClear: 8,
      blocks: true,
      allowedInfoHashes: new Set(),
    },
    allow: AllowList.empty(),
  });
  assert.ok(packets > 1000, `${packets} packets`);
  assert.ok(performance.now() - began < 5000);
});

test('the packets of the rehearsal are what they are meant to be', () => {
  const packet = new Packet();
  const sorts = new Set<string>();
  for (const { bytes, clientPortAt, wildAt } of rehearsalPackets()) {
    assert.equal(decodePacket(packet, bytes, 0, bytes.length, bytes.length, linkRaw), Ok);
    assert.ok(bytes[clientPortAt] === 0x80, 'the client has a high port');
    if (wildAt >= 0) assert.equal(wildAt, packet.payloadStart);
    sorts.add(`${packet.ipVersion} ${packet.protocol} ${packet.sourcePort >= 0x8000}`);
  }
  assert.equal(sorts.size, 8);
});

test('what it compiled is still so when a worker judges its first packets', () => {
  const child = repositoryPath('dist', 'cmd', 'rehearsal-child.js');
  const flags = ['--allow-natives-syntax', '--expose-gc'];
  const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, child], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  const { rehearsed, ...later } = JSON.parse(stdout) as Record<
    'rehearsed' | 'made' | 'used' | 'collected',
    string[]
  >;
  for (const name of ['packet', 'decodePacket']) assert.ok(rehearsed.includes(name), `${name} is compiled`);
  for (const [when, names] of Object.entries(later)) {
    const lost = rehearsed.filter((name) => !names.includes(name));
    assert.deepEqual(lost, [], when);
  }
});
