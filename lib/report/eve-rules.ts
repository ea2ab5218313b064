/**
 * What Suricata's published EVE schema demands of the events that Swarmgate writes, as a JSON schema of our own: the
 * facts common to Suricata 6, 7 and 8 (names, types, where unknown fields are refused, no empty lists since 8). Being
 * stricter than any one of them, it is what the tests hold the writer to.
 */
const text = { type: 'string' } as const;
const integer = { type: 'integer' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const port = { type: 'integer', minimum: 0, maximum: 65_535 } as const;
const texts = { type: 'array', minItems: 1, items: text } as const;
/** The schema admits any fraction; Suricata itself writes six digits and a numeric offset without colon. */
const time = {
  type: 'string',
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{6}\\+0000$',
} as const;

function closed(properties: Record<string, unknown>, required: readonly string[]): Record<string, unknown> {
  return { type: 'object', properties, required, additionalProperties: false };
}

const alert = closed(
  {
    action: { enum: ['allowed', 'blocked'] },
    gid: { const: 1 },
    signature_id: { type: 'integer', minimum: 1_000_000, maximum: 1_999_999 },
    rev: { type: 'integer', minimum: 1 },
    signature: text,
    category: text,
    severity: { type: 'integer', minimum: 1, maximum: 255 },
    // Suricata 6 and 7 know only these and a few more names here and refuse others.
    metadata: closed({ signature_severity: texts, tag: texts }, []),
  },
  ['action', 'gid', 'signature_id', 'rev', 'signature', 'category', 'severity'],
);

const flow = closed(
  {
    pkts_toserver: count,
    pkts_toclient: count,
    bytes_toserver: count,
    bytes_toclient: count,
    start: time,
    end: time,
    age: count,
    state: { enum: ['new', 'established', 'closed', 'bypassed'] },
    reason: { enum: ['timeout', 'forced', 'shutdown'] },
    alerted: { type: 'boolean' },
  },
  ['pkts_toserver', 'pkts_toclient', 'bytes_toserver', 'bytes_toclient', 'start', 'end', 'age'],
);

const tunnel = closed(
  {
    src_ip: text,
    src_port: port,
    dest_ip: text,
    dest_port: port,
    proto: { enum: ['TCP', 'UDP'] },
    depth: count,
  },
  ['src_ip', 'dest_ip', 'proto', 'depth'],
);

/** Draft-07 schema of one line. */
export const eveRules: Record<string, unknown> = {
  ...closed(
    {
      timestamp: time,
      flow_id: integer,
      in_iface: text,
      pcap_cnt: integer,
      event_type: { enum: ['alert', 'flow'] },
      src_ip: text,
      src_port: port,
      dest_ip: text,
      dest_port: port,
      proto: { enum: ['TCP', 'UDP'] },
      app_proto: text,
      tunnel,
      traffic: closed({ id: texts, label: texts }, []),
      alert,
      flow,
    },
    ['timestamp', 'flow_id', 'event_type', 'src_ip', 'dest_ip', 'proto'],
  ),
  allOf: [
    { if: { properties: { event_type: { const: 'alert' } } }, then: { required: ['alert'] } },
    { if: { properties: { event_type: { const: 'flow' } } }, then: { required: ['flow'] } },
  ],
};
