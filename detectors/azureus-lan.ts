/**
 * How Azureus, Vuze and BiglyBT find each other in a local network: datagrams to 239.255.67.250:16680 and their answers, each
 * one bencoded dictionary. No BEP; ClientInstanceManagerImpl of BiglyBT's source. The address is not asked for.
 *
 *     body    what is asked or answered; absent where a client only says hello or goodbye
 *     orig    the sender: name, id of 40 characters, addresses, TCP port (tp), UDP ports (dp, dp2)
 *     type    1 hello, 2 goodbye, 3 question, 4 answer
 *     ver     1
 */
import {
  declaredLength,
  dictionaryKeys,
  Incomplete,
  integerValue,
  readDictionary,
} from '../lib/wire/bencode.js';
import { ascii, startsWith } from '../lib/wire/text.js';
import { No, nearMiss, yesInPayload, type Detector, type Outcome, type View } from './detector.js';

const message = 0;
const otherSender = 0;

const outer = dictionaryKeys([
  ['body', 'd'],
  ['orig', 'd'],
  ['type', 'i'],
  ['ver', 'i'],
]);
const origKey = 1;
const typeKey = 2;
const versionKey = 3;

const sender = dictionaryKeys([
  ['ai', '0'],
  ['dp', 'i'],
  ['id', '0'],
  ['iip', '0'],
  ['tp', 'i'],
]);
const dataPort = 1;
const senderId = 2;
const innerAddress = 3;
const listenPort = 4;

const bodyFirst = ascii('d4:bodyd');
const origFirst = ascii('d4:origd');

const idCharacters = 40;
const typeMax = 4;
const versionMax = 15;
const portMax = 65_535;

function begins(bytes: Uint8Array, start: number, end: number): boolean {
  return startsWith(bytes, start, end, bodyFirst) || startsWith(bytes, start, end, origFirst);
}

/** True if the integer at `at` is from 1 to `max`; false if there is none (-1). */
function isWithin(bytes: Uint8Array, at: number, end: number, max: number): boolean {
  if (at < 0) return false;
  const value = integerValue(bytes, at, end);
  return value >= 1 && value <= max;
}

/** True if the dictionary at `at` is a sender; one that goes on behind `end` needs only its id and its name. */
function isSender(bytes: Uint8Array, at: number, end: number): boolean {
  if (at < 0) return false;
  const isCut = readDictionary(bytes, at, end, sender) === Incomplete;
  const { values } = sender;
  if (values[0]! < 0 || declaredLength(bytes, values[senderId]!, end) !== idCharacters) return false;
  if (isCut) return true;
  const hasRest = values[dataPort]! >= 0 && values[innerAddress]! >= 0;
  return hasRest && isWithin(bytes, values[listenPort]!, end, portMax);
}

function inspect(view: View): Outcome {
  const { bytes, start, end } = view;
  if (!begins(bytes, start, end)) return No;
  const whole = readDictionary(bytes, start, end, outer);
  const isCut = whole === Incomplete && view.wireLength > end - start;
  if (whole !== end && !isCut) return No;
  const { values } = outer;
  if (!isSender(bytes, values[origKey]!, end)) return nearMiss(view, otherSender);
  if (!isCut) {
    if (!isWithin(bytes, values[typeKey]!, end, typeMax)) return nearMiss(view, otherSender);
    if (!isWithin(bytes, values[versionKey]!, end, versionMax)) return nearMiss(view, otherSender);
    view.listenPort = integerValue(bytes, sender.values[listenPort]!, end);
  }
  return yesInPayload(view, message, start, end);
}

export const azureusLan: Detector = {
  name: 'azureus-lan',
  transport: 'udp',
  confidence: 'proof',
  reference: 'https://github.com/BiglySoftware/BiglyBT, ClientInstanceManagerImpl (no BEP)',
  summary: 'local discovery of Azureus, Vuze and BiglyBT: questions and answers about torrents and clients',
  limits: 'a dictionary with other keys before body and orig is not taken',
  scope: 'packets',
  packetsMax: 8,
  firstBytes: [0x64],
  where: 'anywhere',
  header: begins,
  findings: [{ text: 'local discovery of Azureus and BiglyBT', kind: 'lsd', confidence: 'proof' }],
  nearMisses: ['body and orig as in the local discovery of Azureus, but no sender, type and version of its'],
  inspect,
};
