import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RuleSet } from './firewall.js';
import { iptablesScript } from './iptables-text.js';
import { MarkField, markMaskDefault } from './marks.js';
import { freeMask, iptablesNeighbours, nftNeighbours } from './neighbours.js';
import { nftScript } from './nft-text.js';
import { ruleSet } from './testing.js';

const rules = (instance: string, mask: number): RuleSet => ruleSet({ instance, mark: new MarkField(mask) });
const listed = [rules('default', markMaskDefault), rules('node1', 0x0e00_0000), rules('a-d', 0x7)];
const expected = [
  { instance: 'default', mask: 0x7000_0000 },
  { instance: 'node1', mask: 0x0e00_0000 },
  { instance: 'a-d', mask: 0x7 },
];

test('instances and their mark bits are read from what both backends write', () => {
  const iptables = listed.map((each) => iptablesScript(each, 'left')).join('\n');
  assert.deepEqual(iptablesNeighbours(iptables), expected);
  const nft = listed.map((each) => nftScript(each)).join('\n');
  assert.deepEqual(nftNeighbours(nft), expected);
  // As nft lists them.
  const shown =
    'table inet swarmgate {\n\tchain inspect {\n\t\tmeta mark & 0x70000000 != 0x00000000 goto returned\n';
  assert.deepEqual(nftNeighbours(shown), [expected[0]]);
});

test('rules of others are no neighbours', () => {
  assert.deepEqual(iptablesNeighbours('-A FORWARD -m connmark ! --mark 0x0/0x7 -g SWARMGATE-x\n'), []);
  const other = 'table inet swarm {\n\tmeta mark & 0x7 != 0x0 goto returned\n}\n';
  assert.deepEqual(nftNeighbours(other), []);
});

test('free bits are the highest that nobody has', () => {
  assert.equal(freeMask([markMaskDefault]), 0x0e00_0000);
  assert.equal(freeMask([0x0e00_0000]), 0x7000_0000);
  assert.equal(freeMask([0xffff_ffff]), null);
  assert.equal(freeMask([0xffff_fff8]), 7);
});
