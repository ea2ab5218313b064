/**
 * Suricata EVE JSON lines, so that existing dashboards read the result. The published schema (etc/schema.json of
 * Suricata 6 to 8) forbids unknown fields nearly everywhere and empty arrays since 8. What is ours therefore goes only
 * into lists of free strings that all these versions know, as "name:value": `alert.metadata.tag` and `traffic.label`.
 * `pcap_filename` is not used because the schema of Suricata 6 does not know it; the label `file:` carries the name.
 */
import type { Confidence, Kind } from '../../detectors/detector.js';
import { jsonText, printable } from './escape.js';
import { quoted } from './flow-json.js';
import type { EndedFlow, FlowReport, ReportFactory } from './report.js';

interface Signature {
  /** Range 1,000,000 to 1,999,999 is reserved for local rules. A number is never reused for another meaning. */
  readonly id: number;
  readonly text: string;
  /** What Suricata calls the protocol, or would if it knew it. */
  readonly appProto: string;
}

export const signatures: Readonly<Record<Kind, Signature>> = {
  peer: { id: 1_660_001, text: 'SWARMGATE BitTorrent peer connection (TCP)', appProto: 'bittorrent' },
  utp: { id: 1_660_002, text: 'SWARMGATE BitTorrent peer connection (uTP)', appProto: 'bittorrent-utp' },
  dht: { id: 1_660_003, text: 'SWARMGATE BitTorrent DHT', appProto: 'bittorrent-dht' },
  'udp-tracker': { id: 1_660_004, text: 'SWARMGATE BitTorrent UDP tracker', appProto: 'bittorrent-tracker' },
  'http-tracker': { id: 1_660_005, text: 'SWARMGATE BitTorrent HTTP tracker', appProto: 'http' },
  lsd: { id: 1_660_006, text: 'SWARMGATE BitTorrent local service discovery', appProto: 'bittorrent-lsd' },
  webtorrent: { id: 1_660_007, text: 'SWARMGATE WebTorrent tracker (WebSocket)', appProto: 'websocket' },
  'web-seed': { id: 1_660_008, text: 'SWARMGATE BitTorrent web seed (HTTP)', appProto: 'http' },
  'torrent-file': { id: 1_660_009, text: 'SWARMGATE BitTorrent .torrent file download', appProto: 'http' },
  encrypted: {
    id: 1_660_010,
    text: 'SWARMGATE BitTorrent encrypted peer connection (MSE)',
    appProto: 'bittorrent',
  },
  'listed-name': {
    id: 1_660_011,
    text: 'SWARMGATE name on the list of the operator',
    appProto: 'bittorrent',
  },
};
const signatureOfNoKind: Signature = { id: 1_660_000, text: 'SWARMGATE BitTorrent', appProto: 'bittorrent' };
/** Not of a kind: the flow passed, because what spoke for BitTorrent was not enough. */
export const doubtfulSignature = { id: 1_660_100, text: 'SWARMGATE flow passed in doubt' } as const;
const signatureRevision = 1;
/** Class and priority of Suricata's "policy-violation", which rule sets use for peer-to-peer traffic. */
const alertCategory = 'Potential Corporate Privacy Violation';
const alertSeverity = 1;
/** The same of "misc-activity". */
const doubtfulCategory = 'Misc activity';
const doubtfulSeverity = 3;

const severityWords: Readonly<Record<Confidence, string>> = {
  proof: 'Major',
  strong: 'Minor',
  hint: 'Informational',
};

const noTime = '1970-01-01T00:00:00.000000+0000';

/** "2026-01-31T12:34:56.123456Z" as Suricata writes it; a time that no such text can show becomes 1970. */
export function eveTime(iso: string): string {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/.test(iso) ? `${iso.slice(0, -1)}+0000` : noTime;
}

function signatureOf(flow: FlowReport): Signature {
  return flow.kind === null ? signatureOfNoKind : signatures[flow.kind];
}

function appProto(flow: FlowReport): string | null {
  if (flow.verdict === 'bittorrent') return signatureOf(flow).appProto;
  return flow.protocol;
}

function tunnel([srcIp, srcPort, destIp, destPort]: NonNullable<FlowReport['outer']>): object {
  return { src_ip: srcIp, src_port: srcPort, dest_ip: destIp, dest_port: destPort, proto: 'UDP', depth: 1 };
}

/** When the flow became BitTorrent: the time of the deciding packet. */
function decidedAt(flow: FlowReport): string {
  const deciding = flow.evidence.find((item) => item.packet === flow.decided_packet);
  return deciding?.time ?? flow.evidence.at(-1)?.time ?? flow.first_seen;
}

function alertTags(flow: FlowReport): string[] {
  const tags = [...(flow.file === '' ? [] : [`file:${flow.file}`]), `reason:${flow.reason}`];
  if (flow.kind !== null) tags.push(`kind:${flow.kind}`);
  if (flow.confidence !== null) tags.push(`confidence:${flow.confidence}`);
  if (flow.decided_frame !== null) tags.push(`decided_frame:${flow.decided_frame}`);
  if (flow.decided_packet !== null) tags.push(`decided_packet:${flow.decided_packet}`);
  if (flow.payload_bytes_before_decision !== null) {
    tags.push(`payload_bytes_before_decision:${flow.payload_bytes_before_decision}`);
  }
  for (const detector of new Set(flow.evidence.map((item) => item.detector)))
    tags.push(`detector:${detector}`);
  for (const hash of flow.info_hashes) tags.push(`info_hash:${hash}`);
  for (const name of flow.client_software) tags.push(`client:${printable(name)}`);
  return tags;
}

/** What a live filter knows beyond the flow; a capture file knows nothing of it. */
export interface AlertExtras {
  readonly action: 'allowed' | 'blocked';
  /** Time of the decision, when it is not that of the evidence. */
  readonly time?: string;
  readonly inInterface?: string | null;
  readonly tags?: readonly string[];
  /** The flow passed in doubt. */
  readonly doubtful?: boolean;
}

/** The alert of a flow; live flows have no capture file, so `file` is left out where it is empty. */
export function alertEvent(
  flow: FlowReport,
  extras: AlertExtras = { action: 'allowed' },
): Record<string, unknown> {
  const doubtful = extras.doubtful === true;
  const signature = doubtful ? doubtfulSignature : signatureOf(flow);
  const app = appProto(flow);
  return {
    timestamp: eveTime(extras.time ?? decidedAt(flow)),
    flow_id: flow.flow_id,
    ...(typeof extras.inInterface === 'string' ? { in_iface: printable(extras.inInterface) } : {}),
    ...(flow.decided_frame === null || flow.file === '' ? {} : { pcap_cnt: flow.decided_frame }),
    event_type: 'alert',
    src_ip: flow.client,
    src_port: flow.client_port,
    dest_ip: flow.server,
    dest_port: flow.server_port,
    proto: flow.proto === 'tcp' ? 'TCP' : 'UDP',
    ...(doubtful ? (app === null ? {} : { app_proto: app }) : { app_proto: signatureOf(flow).appProto }),
    ...(flow.outer === undefined ? {} : { tunnel: tunnel(flow.outer) }),
    alert: {
      action: extras.action,
      gid: 1,
      signature_id: signature.id,
      rev: signatureRevision,
      signature: signature.text,
      category: doubtful ? doubtfulCategory : alertCategory,
      severity: doubtful ? doubtfulSeverity : alertSeverity,
      metadata: {
        signature_severity: [severityWords[flow.confidence ?? 'hint']],
        tag: [...alertTags(flow), ...(extras.tags ?? [])],
      },
    },
  };
}

const endWords = {
  closed: { state: 'closed', reason: 'timeout' },
  idle: { state: null, reason: 'timeout' },
  evicted: { state: null, reason: 'forced' },
  'end-of-input': { state: null, reason: 'shutdown' },
} as const;

/** Written as text: every flow of a scan has this event, and building objects for it costs several times as much. */
function flowEvent(flow: FlowReport, seconds: number): string {
  const ended = endWords[flow.ended ?? 'end-of-input'];
  const answered = flow.packets_to_server > 0 && flow.packets_to_client > 0;
  const found = flow.verdict === 'bittorrent';
  const app = appProto(flow);
  const end = eveTime(flow.last_seen);
  const outer = flow.outer === undefined ? '' : `,"tunnel":${jsonText(tunnel(flow.outer))}`;
  return (
    `{"timestamp":"${end}","flow_id":${flow.flow_id},"event_type":"flow",` +
    `"src_ip":${quoted(flow.client)},"src_port":${flow.client_port},` +
    `"dest_ip":${quoted(flow.server)},"dest_port":${flow.server_port},` +
    `"proto":"${flow.proto === 'tcp' ? 'TCP' : 'UDP'}"${app === null ? '' : `,"app_proto":${quoted(app)}`}${outer},` +
    `"flow":{"pkts_toserver":${flow.packets_to_server},"pkts_toclient":${flow.packets_to_client},` +
    `"bytes_toserver":${flow.bytes_to_server},"bytes_toclient":${flow.bytes_to_client},` +
    `"start":"${eveTime(flow.first_seen)}","end":"${end}","age":${seconds},` +
    `"state":"${ended.state ?? (answered ? 'established' : 'new')}","reason":"${ended.reason}","alerted":${String(found)}},` +
    `"traffic":{${found ? '"id":["bittorrent"],' : ''}"label":[${flowLabels(flow)}]}}\n`
  );
}

function flowLabels(flow: FlowReport): string {
  const fixed = `${quoted(`file:${flow.file}`)},"verdict:${flow.verdict}","reason:${flow.reason}"`;
  const kind = flow.kind === null ? '' : `,"kind:${flow.kind}"`;
  return fixed + kind + (flow.tunnel === undefined ? '' : `,${quoted(`tunnel:${flow.tunnel}`)}`);
}

/** Whole seconds between first and last packet; 0 where the capture's clock makes no sense. */
function ageSeconds(flow: EndedFlow): number {
  const seconds = Math.floor((flow.lastSeenMicros - flow.firstSeenMicros) / 1e6);
  return seconds > 0 && Number.isSafeInteger(seconds) ? seconds : 0;
}

export const eve: ReportFactory = (output) => {
  return {
    flow(flow) {
      const record = flow.report();
      if (record.verdict === 'bittorrent') output.write(`${jsonText(alertEvent(record))}\n`);
      output.write(flowEvent(record, ageSeconds(flow)));
    },
    end() {
      // Nothing is held back: every flow was written when it ended.
    },
  };
};
