/**
 * Wireshark's dissectors as an independent judge: over a spread of the corpus (all of it with SWARMGATE_JUDGE_ALL=1)
 * addresses, ports, payload lengths and sequence numbers must be those of tshark, or the difference must be one of the
 * reasons listed below.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openCaptureFile } from '../io/capture-file.js';
import { PacketBatch } from '../io/packet-source.js';
import { corpusFolder } from '../testing.js';
import { decodePacket } from './decode.js';
import {
  Fragment,
  Malformed,
  NotIp,
  Ok,
  OtherProtocol,
  Packet,
  Truncated,
  UnsupportedLink,
} from './packet.js';

const filesInSpread = 60;
const fields = [
  'frame.protocols',
  'ip.src',
  'ip.dst',
  'ipv6.src',
  'ipv6.dst',
  'tcp.srcport',
  'tcp.dstport',
  'udp.srcport',
  'udp.dstport',
  'tcp.len',
  'udp.length',
  'tcp.seq_raw',
] as const;
type Row = Readonly<Record<(typeof fields)[number], string>>;

/** Why we may differ; each needs its evidence in the row or the packet. */
const reasons: readonly { why: string; holds: (packet: Packet, row: Row) => boolean }[] = [
  {
    why: 'tshark looks into the packet that an ICMP error quotes; that packet is not on this wire',
    holds: (packet, row) => packet.outcome === OtherProtocol && /:icmp(v6)?:ip/.test(row['frame.protocols']),
  },
  {
    why: 'tshark reads the ports in a first fragment; here they wait for reassembly',
    holds: (packet) => packet.outcome === Fragment,
  },
  {
    why: 'tshark reads what it can of headers that are cut or contradict themselves',
    holds: (packet) => packet.outcome === Malformed || packet.outcome === Truncated,
  },
  {
    why: 'tshark takes IP longer than its frame for shorter, here it counts as cut',
    holds: (packet) => packet.outcome === Ok && packet.ipWireLength > packet.ipEnd - packet.ipStart,
  },
  {
    why: 'tshark knows Teredo only on its port, here it is known by structure',
    holds: (packet) => packet.outcome === Ok && packet.tunnel === 8,
  },
  {
    why: 'a UDP tunnel without TCP or UDP inside, or one that is not read (Geneve), is the outer UDP flow here',
    holds: (packet, row) =>
      packet.outcome === Ok &&
      packet.protocol === 17 &&
      /:udp:(teredo|gtp|vxlan|geneve|l2tp|mpls)/.test(row['frame.protocols']),
  },
  {
    why: 'a link or tunnel protocol that only Wireshark reads',
    holds: (packet) => packet.outcome === UnsupportedLink,
  },
];

const listOf = (text: string): string[] => (text === '' ? [] : text.split(','));
const unsigned = (word: number): number => word >>> 0;

function dotted(word: number): string {
  return [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.');
}

/** Eight groups without compression, so that two spellings of an address compare equal. */
function groups(address: string): string {
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(zeros).fill('0'), ...right].join(':');
}

function addressesOf(packet: Packet): [string, string] {
  if (packet.ipVersion === 4) return [dotted(packet.source0), dotted(packet.destination0)];
  const join6 = (words: number[]): string =>
    words.flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)]).join(':');
  return [
    join6([packet.source0, packet.source1, packet.source2, packet.source3]),
    join6([packet.destination0, packet.destination1, packet.destination2, packet.destination3]),
  ];
}

/** What differs between our reading and tshark's, or null. */
function difference(packet: Packet, row: Row): string | null {
  const ports = listOf(row['tcp.srcport']).length + listOf(row['udp.srcport']).length;
  if (packet.outcome !== Ok) {
    const hasIp = row['ip.src'] !== '' || row['ipv6.src'] !== '';
    if (ports > 0) return 'tshark sees ports';
    return hasIp && packet.outcome === NotIp ? 'tshark sees IP' : null;
  }
  const [source, destination] = addressesOf(packet);
  const version4 = packet.ipVersion === 4;
  const sources = version4 ? listOf(row['ip.src']) : listOf(row['ipv6.src']).map(groups);
  const destinations = version4 ? listOf(row['ip.dst']) : listOf(row['ipv6.dst']).map(groups);
  const at = packet.depth === 0 ? 0 : sources.lastIndexOf(source);
  if (sources[at] !== source || destinations[at] !== destination) return 'addresses';
  const tcp = packet.protocol === 6;
  const sourcePorts = listOf(tcp ? row['tcp.srcport'] : row['udp.srcport']);
  const destinationPorts = listOf(tcp ? row['tcp.dstport'] : row['udp.dstport']);
  const port = sourcePorts.indexOf(String(packet.sourcePort));
  if (port < 0 || destinationPorts[port] !== String(packet.destinationPort)) return 'ports';
  const lengths = tcp ? listOf(row['tcp.len']) : listOf(row['udp.length']);
  if (lengths[port] !== String(packet.payloadWireLength + (tcp ? 0 : 8))) return 'length';
  if (tcp && listOf(row['tcp.seq_raw'])[port] !== String(unsigned(packet.sequence))) return 'sequence';
  return null;
}

/** Concatenates captures; those that mergecap refuses (damaged, cut, unknown link types) are left out one by one. */
function merge(files: string[], target: string): number {
  for (let left = files; left.length > 0;) {
    const run = spawnSync('mergecap', ['-a', '-w', target, ...left], { encoding: 'utf8' });
    if (run.status === 0) return left.length;
    const refused = /"([^"]+)"/.exec(run.stderr)?.[1];
    if (refused === undefined || !left.includes(refused)) throw new Error(run.stderr);
    left = left.filter((file) => file !== refused);
  }
  throw new Error('mergecap refused every file');
}

function dissect(file: string): Row[] {
  const options = ['ip.defragment:FALSE', 'ipv6.defragment:FALSE', 'tcp.desegment_tcp_streams:FALSE'];
  const run = spawnSync(
    'tshark',
    ['-n', '-r', file, '-T', 'fields', '-E', 'occurrence=a', '-E', 'aggregator=,'].concat(
      options.flatMap((option) => ['-o', option]),
      fields.flatMap((field) => ['-e', field]),
    ),
    { encoding: 'latin1', maxBuffer: 1 << 28 },
  );
  assert.equal(run.status, 0, run.stderr);
  const lines = run.stdout.split('\n').slice(0, -1);
  return lines.map((line) => {
    const values = line.split('\t');
    return Object.fromEntries(fields.map((field, i) => [field, values[i] ?? ''])) as Row;
  });
}

async function compare(
  file: string,
  rows: readonly Row[],
): Promise<{ compared: number; excused: number; wrong: string[] }> {
  const source = await openCaptureFile(file);
  const batch = new PacketBatch();
  const packet = new Packet();
  const result = { compared: 0, excused: 0, wrong: [] as string[] };
  while (await source.fill()) {
    while (source.next(batch) > 0) {
      for (let i = 0; i < batch.count; i++) {
        const frame = batch.frame[i]!;
        const row = rows[frame - 1];
        assert.ok(row !== undefined, `tshark has a frame ${frame}`);
        const wire = batch.wireLength[i]!;
        decodePacket(packet, batch.bytes, batch.start[i]!, batch.end[i]!, wire, batch.linkType[i]!);
        result.compared++;
        const what = difference(packet, row);
        if (what === null) continue;
        if (reasons.some((reason) => reason.holds(packet, row))) result.excused++;
        else result.wrong.push(`frame ${frame}: ${what}: ${JSON.stringify(row)}`);
      }
    }
  }
  await source.close();
  return result;
}

function whySkipped(): string | false {
  if (corpusFolder() === null) return 'the labelled corpus is absent';
  for (const tool of ['tshark', 'mergecap']) {
    if (spawnSync(tool, ['--version']).status !== 0)
      return `${tool} is not installed (Debian package tshark)`;
  }
  return false;
}

function corpusFiles(): string[] {
  const folder = join(corpusFolder() ?? '', 'files');
  const all = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(cap|pcap|pcapng)$/.test(name))
    .sort()
    .map((name) => join(folder, name));
  if (process.env['SWARMGATE_JUDGE_ALL'] === '1') return all;
  const step = Math.max(1, Math.floor(all.length / filesInSpread));
  return all.filter((_, i) => i % step === 0);
}

test('tshark reads the same addresses, ports and lengths', { skip: whySkipped() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-judge-'));
  try {
    const merged = join(folder, 'merged.pcapng');
    const files = merge(corpusFiles(), merged);
    const { compared, excused, wrong } = await compare(merged, dissect(merged));
    t.diagnostic(`${files} files, ${compared} packets, ${excused} differ for a listed reason`);
    assert.ok(compared > 1000);
    assert.deepEqual(wrong.slice(0, 20), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
