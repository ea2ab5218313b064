/** The fixed vocabularies of verdict.ts and detector.ts in words that a network administrator understands. */
import type { Confidence, Kind } from '../../detectors/detector.js';
import type { Reason, Verdict } from '../engine/verdict.js';

export const kindWords: Readonly<Record<Kind, string>> = {
  peer: 'peer connection (TCP)',
  utp: 'peer connection (uTP over UDP)',
  dht: 'distributed hash table (DHT)',
  'udp-tracker': 'tracker (UDP)',
  'http-tracker': 'tracker (HTTP)',
  lsd: 'local service discovery',
  webtorrent: 'WebTorrent tracker (WebSocket)',
  'web-seed': 'web seed (HTTP)',
  'torrent-file': 'download of a .torrent file',
  encrypted: 'encrypted peer connection (MSE)',
  'listed-name': 'name on the list of the operator',
};

export const confidenceWords: Readonly<Record<Confidence | 'near', string>> = {
  proof: 'proof, decides on its own',
  strong: 'strong, decides together with a second item',
  hint: 'hint, only adds to other evidence',
  near: 'not believed',
};

export const verdictWords: Readonly<Record<Verdict, string>> = {
  bittorrent: 'BitTorrent',
  suspect: 'suspect: something spoke for BitTorrent, but not enough to decide',
  clear: 'not BitTorrent: recognised as another protocol',
  unknown: 'not recognised',
};

export const reasonWords: Readonly<Record<Reason, string>> = {
  'no-payload': 'No packet of this flow carried payload, so there was nothing to judge.',
  inspecting:
    'The flow ended while detectors were still waiting for more bytes; nothing had decided by then.',
  'nothing-matched': 'Every detector that applies looked at the flow and none recognised it.',
  'other-protocol': 'The flow was recognised as another protocol, so it needs no further inspection.',
  'single-hint':
    'There is one hint and nothing else. A hint alone never decides: other software can look the same.',
  'single-strong':
    'There is one strong item and nothing to support it. One strong item alone does not decide: a second, independent one is needed.',
  proof: 'One item is proof: bytes that no other protocol sends. Proof decides on its own.',
  'two-strong': 'Two independent strong items agree. Each alone could be chance; together they decide.',
  'strong-and-hint': 'One strong item is supported by an independent hint. Together they decide.',
  'three-hints':
    'Three independent hints agree: what the flow looks like, what is remembered of its address and port, and what one of its hosts was just proven to do.',
  shape:
    'The four messages of the connection have the shape of encrypted BitTorrent. The configuration (encrypted: shape) lets that decide alone.',
};

/** What no report of this tool can claim; shown with every HTML report, because a clean report is easily misread. */
export const blindSpots: readonly string[] = [
  'Encrypted peer connections (message stream encryption, also called protocol encryption) show only their form. Without other evidence about their hosts or addresses they are among the suspects, or among the flows that were not recognised.',
  'Traffic inside a VPN, SSH, Tor or TLS is hidden: HTTPS trackers, secure WebSocket trackers and WebRTC data channels cannot be read. Of TLS only names are compared, and only with a list that was given.',
  'Flows whose first packets are missing from the capture are harder to recognise; only several consistent messages in the middle of a flow are believed.',
  'Captures with a short snap length, lost packets or one direction only show less than what was on the wire.',
  'An info-hash names a torrent, not its content, and a host address is a machine or a router, not a person.',
];
