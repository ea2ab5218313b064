/** Tunnels of random bytes that have the whole form of MSE: what their users keep although they speak BitTorrent too. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EncryptedMode } from '../lib/engine/policy.js';
import { handshake, inTurn, mseLengths, Town, type End } from './encrypted-testing.js';

const me = '10.0.0.5';
const server: End = ['203.0.113.7', 8388];
const partner: End = ['198.51.100.20', 40123];

/** Verdicts of connections that begin with messages of these lengths, twenty seconds apart, of a host that was just proven. */
function verdictsOf(firsts: readonly number[], mode: EncryptedMode = 'corroborated', to = server): string[] {
  const town = new Town(mode);
  return firsts.map((first, i) => {
    town.tcp([me, 40_000 + 2 * i], partner, [['>', handshake]]);
    const from: End = [me, 40_001 + 2 * i];
    town.tcp(from, to, inTurn([first, ...mseLengths.slice(1)]));
    town.now += 20;
    return town.verdict(me, to);
  });
}

describe('a tunnel beside a torrent client', () => {
  test('whose messages always have the lengths of MSE loses one connection, and not all', () => {
    const [first, ...rest] = verdictsOf(new Array<number>(40).fill(301));
    assert.equal(first, 'bittorrent');
    assert.deepEqual([...new Set(rest)], ['suspect']);
  });

  test('an encrypted peer pads its key anew each time, and falls each time', () => {
    const verdicts = verdictsOf([301, 302, 96, 608, 255, 400]);
    assert.deepEqual([...new Set(verdicts)], ['bittorrent']);
  });

  test('in the mode shape the form alone still decides', () => {
    assert.deepEqual([...new Set(verdictsOf([301, 301, 301], 'shape'))], ['bittorrent']);
  });

  test('a peer that was proven itself is known by its port, whatever the lengths', () => {
    const town = new Town();
    town.tcp([me, 40_000], server, [
      ['>', handshake],
      ['<', handshake],
    ]);
    for (let i = 1; i < 4; i++) {
      town.now += 20;
      town.tcp([me, 40_000 + i], server, inTurn(mseLengths));
      assert.equal(town.verdict(me, server), 'bittorrent');
    }
  });
});
