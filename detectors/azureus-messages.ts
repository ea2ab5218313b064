/**
 * The messages that Azureus, Vuze and BiglyBT exchange among themselves behind the handshake, once both have set its
 * reserved bit 0x80: those of BEP 3 and 6 and their own, each under a name. No BEP; the protocol is described in Vuze's
 * wiki and by BiglyBT's source. https://wiki.vuze.com/w/Azureus_messaging_protocol
 *
 *     length 4 | length of the name 4 | name | version 1 | what BEP 3 has behind the id, or a bencoded dictionary
 *
 * A name and the two lengths that must fit it are 100 fixed bits and more. A recording of such a connection on its way
 * over a network holds them too, so a packet must be filled by messages, of which only the last may go on, and this is
 * only asked where the beginning of the flow was not seen: elsewhere the handshake was.
 */
import { ascii, startsWith } from '../lib/wire/text.js';
import { word32 } from '../lib/wire/words.js';
import { No, yesInPayload, type Detector, type Outcome, type View } from './detector.js';

const wholeMessages = 0;
const cutMessage = 1;

interface Message {
  readonly name: Uint8Array;
  /** Bytes behind the version, the least and the most. */
  readonly least: number;
  readonly most: number;
}

const pieceBytesMax = 131_072 + 8;
const anything = 1 << 20;

const message = (name: string, least: number, most = least): Message => ({ name: ascii(name), least, most });

const messages: readonly Message[] = [
  message('BT_REQUEST', 12),
  message('BT_PIECE', 8, pieceBytesMax),
  message('BT_HAVE', 4),
  message('BT_CHOKE', 0),
  message('BT_UNCHOKE', 0),
  message('BT_INTERESTED', 0),
  message('BT_UNINTERESTED', 0),
  message('BT_BITFIELD', 1, 1 << 18),
  message('BT_CANCEL', 12),
  message('BT_KEEP_ALIVE', 0),
  message('BT_HANDSHAKE', 48, 48 + 68),
  message('BT_DHT_PORT', 2),
  message('BT_SUGGEST_PIECE', 4),
  message('BT_HAVE_ALL', 0),
  message('BT_HAVE_NONE', 0),
  message('BT_REJECT_REQUEST', 12),
  message('BT_ALLOWED_FAST', 4),
  message('AZ_HANDSHAKE', 2, anything),
  message('AZ_PEER_EXCHANGE', 2, anything),
  message('AZ_REQUEST_HINT', 2, anything),
  message('AZ_HAVE', 2, anything),
  message('AZ_BAD_PIECE', 2, anything),
  message('AZ_STAT_REQ', 2, anything),
  message('AZ_STAT_REP', 2, anything),
  message('AZ_METADATA', 2, anything),
];

/** Length, length of the name, and the version. */
const nameAt = 8;
const aroundName = 5;
const versionMax = 15;
/** Shortest and longest name. */
const nameMin = 7;
const nameMax = 17;
const messagesMax = 256;

/** Where the message at `at` ends, also beyond `end`; -1 if there is none, or less than its name and version. */
function messageEnd(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < nameAt + nameMin + 1 || bytes[at] !== 0) return -1;
  const length = word32(bytes, at);
  const named = word32(bytes, at + 4);
  if (named < nameMin || named > nameMax || length < named + aroundName) return -1;
  const version = at + nameAt + named;
  if (version >= end || bytes[version] === 0 || bytes[version]! > versionMax) return -1;
  const behind = length - named - aroundName;
  for (let i = 0; i < messages.length; i++) {
    const { name, least, most } = messages[i]!;
    if (name.length === named && startsWith(bytes, at + nameAt, end, name))
      return behind >= least && behind <= most ? at + 4 + length : -1;
  }
  return -1;
}

/** True if `[at, end)` may be the head of a message, too short to tell which. */
function mayBegin(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at > nameAt + nameMax || bytes[at] !== 0) return false;
  return end - at < nameAt || (word32(bytes, at + 4) >= nameMin && word32(bytes, at + 4) <= nameMax);
}

function inspect(view: View): Outcome {
  const { bytes, start, end } = view;
  let at = start;
  for (let count = 0; count < messagesMax; count++) {
    const next = messageEnd(bytes, at, end);
    if (next < 0) {
      if (count === 0 || !mayBegin(bytes, at, end)) return No;
      return yesInPayload(view, wholeMessages, start, at);
    }
    if (next > end) return yesInPayload(view, count > 0 ? wholeMessages : cutMessage, start, end);
    if (next === end) break;
    at = next;
  }
  return yesInPayload(view, wholeMessages, start, end);
}

export const azureusMessages: Detector = {
  name: 'azureus-messages',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'https://wiki.vuze.com/w/Azureus_messaging_protocol (no BEP)',
  summary: 'peer protocol of Azureus, Vuze and BiglyBT among themselves, from the middle of a stream',
  limits: 'only packets that begin with a message; a message whose rest is not there is only strong',
  scope: 'packets',
  packetsMax: 24,
  firstBytes: [0x00],
  where: 'middle',
  findings: [
    { text: 'messages of the peer protocol of Azureus and BiglyBT', kind: 'peer', confidence: 'proof' },
    {
      text: 'beginning of a message of the peer protocol of Azureus and BiglyBT',
      kind: 'peer',
      confidence: 'strong',
      repeatable: true,
    },
  ],
  nearMisses: [],
  inspect,
};
