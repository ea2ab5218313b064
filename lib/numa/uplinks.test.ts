/** Uplinks from tables of routes as Linux prints them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { uplinksIn } from './uplinks.js';

const head =
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n';
const route = (name: string, destination: string, flags: string, mask: string): string =>
  `${name}\t${destination}\t010AA8C0\t${flags}\t0\t0\t0\t${mask}\t0\t0\t0\n`;
const route6 = (name: string, destination: string, length: string, flags: string): string =>
  `${destination} ${length} ${'0'.repeat(32)} 00 fe80000000000000${'0'.repeat(16)} 00000400 00000001 00000000 ${flags} ${name.padStart(8)}\n`;
const zeros = '0'.repeat(32);

test('default routes of both versions, once each; neither loopback nor a route that rejects', () => {
  const four =
    head +
    route('eth1', '00000000', '0003', '00000000') +
    route('eth0', '0000000A', '0001', '000000FF') +
    route('eth7', '00000000', '0201', '00000000') +
    route('ppp0', '00000000', '0001', '00000080');
  const six =
    route6('eth2', zeros, '00', '00000003') +
    route6('eth1', zeros, '00', '00000003') +
    route6('lo', zeros, '00', '00200200') +
    route6('eth3', zeros, '08', '00000003');
  assert.deepEqual(uplinksIn(four, six), ['eth1', 'eth2']);
  assert.deepEqual(uplinksIn('', ''), []);
});

test('property: no text makes it throw', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (four, six) => {
      assert.ok(Array.isArray(uplinksIn(four, `${six}\n${zeros} 00`)));
    }),
  );
});
