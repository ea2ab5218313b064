import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reasons } from '../engine/verdict.js';
import { explainFlow, flowFilter, framesFilter, type TraceLine } from './explain.js';
import { fakeClear, fakeEvidence, fakeReport, hostileTexts } from './testing.js';

const options = { colour: false, columns: 100 };
const trace: readonly TraceLine[] = [
  { packet: 4, frame: 15, side: 'client', detector: 'http-tracker', outcome: 'no', text: '' },
  { packet: 4, frame: 15, side: 'client', detector: 'webtorrent', outcome: 'no', text: '' },
  {
    packet: 4,
    frame: 15,
    side: 'client',
    detector: 'peer-handshake',
    outcome: 'yes',
    text: 'peer handshake',
  },
];

test('the chain: who, what was seen where, who said it, how it was concluded, what leaked', () => {
  const text = explainFlow(fakeReport({ payload_bytes_before_decision: 1200 }), trace, options);
  assert.match(
    text,
    /^Flow \d+ of capture\.pcap\n {2}TCP from client 192\.168\.1\.10:51413 to server 198\.51\.100\.7:6881\./,
  );
  assert.match(text, /BitTorrent, peer connection \(TCP\)\.\n {2}One item is proof/);
  assert.match(text, /Decided by packet 4 of the flow, frame 15\./);
  assert.match(text, /1\. Frame 15 \(packet 4 of the flow, sent by the client, 42 ms after the first\)/);
  assert.match(text, /Bytes 0 to 67 of the client's stream; detector peer-handshake: proof/);
  assert.match(text, /peer-handshake: yes: peer handshake\n {4}no: http-tracker, webtorrent/);
  assert.match(text, /1\.20 kB of payload in the 3 packets before the deciding one/);
  assert.match(text, /frame\.number == 15/);
});

test('a clear flow is explained as well, and every reason has words', () => {
  const text = explainFlow(fakeClear(), [], options);
  assert.match(text, /Not BitTorrent: recognised as another protocol \(tls\)\./);
  assert.match(text, /No detector was asked/);
  assert.doesNotMatch(text, /What would have passed/);
  for (const reason of reasons)
    assert.match(explainFlow(fakeClear({ reason }), [], options), new RegExp(`\\[${reason}\\]`));
});

test('near misses are named as not believed', () => {
  const near = fakeEvidence({
    confidence: 'near',
    finding: 'the protocol string is one byte off',
    of: 'payload',
    frame: 20,
  });
  const text = explainFlow(fakeClear({ near_misses: [near] }), [], options);
  assert.match(text, /not believed\n {2}1\. Frame 20/);
  assert.match(text, /Bytes 0 to 67 of this packet's payload/);
});

test('tunnels are named', () => {
  const outer = ['192.0.2.1', 4789, '192.0.2.2', 4790] as const;
  assert.match(
    explainFlow(fakeReport({ tunnel: 'vxlan', outer }), [], options),
    /inside a tunnel \(vxlan\) between 192\.0\.2\.1:4789 and 192\.0\.2\.2:4790\./,
  );
  assert.match(explainFlow(fakeReport({ tunnel: 'gre' }), [], options), /inside a tunnel \(gre\)\./);
});

test('a long trace is bounded', () => {
  const many = Array.from({ length: 300 }, (_, i): TraceLine => ({
    ...trace[0]!,
    packet: i + 1,
    frame: i + 1,
  }));
  const text = explainFlow(fakeReport(), many, options);
  assert.match(text, /236 more packets were inspected and are not shown\./);
});

test('nothing from the wire acts on the terminal, and lines keep to the columns', () => {
  for (const name of hostileTexts) {
    const item = fakeEvidence({ finding: name, client_software: name, info_hash: name });
    const line: TraceLine = { ...trace[2]!, text: name, detector: name };
    const text = explainFlow(
      fakeReport({ file: name, evidence: [item], near_misses: [item], client: name }),
      [line],
      options,
    );
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  }
  for (const line of explainFlow(fakeReport(), trace, { colour: false, columns: 60 }).split('\n')) {
    assert.ok(line.length <= 60 || line.startsWith('    ip.addr'), line);
  }
  const coloured = explainFlow(fakeReport(), trace, { colour: true, columns: 80 });
  assert.ok(coloured.includes('\x1b[1mVerdict\x1b[0m'));
});

test('Wireshark filters', () => {
  assert.equal(framesFilter([7]), 'frame.number == 7');
  assert.equal(framesFilter([9, 7, 9]), 'frame.number in {7, 9}');
  assert.equal(
    flowFilter(fakeReport({ proto: 'udp', client: 'fd00::1', server: '2001:db8::2' })),
    'ipv6.addr == fd00::1 && ipv6.addr == 2001:db8::2 && udp.port == 51413 && udp.port == 6881',
  );
});
