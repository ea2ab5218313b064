/**
 * HTTP requests that BitTorrent often makes but that are no proof of it: a byte range fetched by a general downloader
 * that also speaks BitTorrent (its web seeds, BEP 19, look exactly like its downloads), and a request for a metainfo
 * file by its name (BEP 3). Hints only: each becomes something with other evidence.
 */
import { judgeGetRequest, More, No, noteClient, yesInOpening, yesInPayload } from './detector.js';
import type { Detector, Outcome, View } from './detector.js';
import {
  headEnd,
  headerValue,
  isClosedRange,
  isCutLine,
  lineEnd,
  parameterEnd,
  queryStart,
} from '../lib/wire/http.js';
import { ascii, indexOfByte, needle, startsWithIgnoringCase } from '../lib/wire/text.js';

const rangeHint = 0;
const torrentHint = 1;

const userAgent = needle('\nuser-agent:');
const range = needle('\nrange:');
const torrentSuffix = ascii('.torrent');
/** Downloaders that also speak BitTorrent, as their User-Agent begins. */
const downloaders = ['aria2/', 'fdm ', 'fdm/', 'free download manager', 'motrix/', 'getright/'].map(ascii);

const targetOffset = 4;
const lineFeed = 0x0a;

function isDownloader(bytes: Uint8Array, at: number, end: number): boolean {
  for (let i = 0; i < downloaders.length; i++)
    if (startsWithIgnoringCase(bytes, at, end, downloaders[i]!)) return true;
  return false;
}

/** True if the path (without its query) ends in `.torrent`. */
function asksForTorrent(bytes: Uint8Array, target: number, query: number, end: number): boolean {
  const pathEnd = query >= 0 ? query - 1 : parameterEnd(bytes, target, end);
  const suffix = pathEnd - torrentSuffix.length;
  return suffix > target && startsWithIgnoringCase(bytes, suffix, pathEnd, torrentSuffix);
}

function judge(
  view: View,
  bytes: Uint8Array,
  start: number,
  end: number,
  inOpening: boolean,
  waits: boolean,
): Outcome {
  const target = start + targetOffset;
  const query = queryStart(bytes, target, end);
  if (query === end) return waits ? More : No;
  if (asksForTorrent(bytes, target, query, end)) {
    const to = indexOfByte(bytes, start, end, lineFeed);
    return inOpening
      ? yesInOpening(view, torrentHint, start, to)
      : yesInPayload(view, torrentHint, start, to);
  }
  const agent = headerValue(bytes, start, end, userAgent);
  if (agent < 0) return waits && headEnd(bytes, start, end) < 0 ? More : No;
  if (waits && isCutLine(bytes, agent, end)) return More;
  if (!isDownloader(bytes, agent, end)) return No;
  const ranges = headerValue(bytes, start, end, range);
  if (ranges < 0) return waits && headEnd(bytes, start, end) < 0 ? More : No;
  if (waits && isCutLine(bytes, ranges, end)) return More;
  if (!isClosedRange(bytes, ranges, end)) return No;
  noteClient(view, bytes, agent, lineEnd(bytes, agent, end));
  return inOpening ? yesInOpening(view, rangeHint, start, end) : yesInPayload(view, rangeHint, start, end);
}

function inspect(view: View): Outcome {
  return judgeGetRequest(view, judge);
}

export const webDownload: Detector = {
  name: 'web-download',
  transport: 'tcp',
  confidence: 'hint',
  reference: 'BEP 3, BEP 19',
  summary: 'byte ranges fetched by a general downloader, requests for .torrent files by name',
  limits: 'a hint at most: the same requests are made for ordinary downloads',
  scope: 'packets',
  packetsMax: 16,
  firstBytes: [0x47],
  where: 'anywhere',
  findings: [
    { text: 'byte range fetched by a general downloader', kind: 'web-seed', confidence: 'hint' },
    { text: 'request for a path ending in .torrent', kind: 'torrent-file', confidence: 'hint' },
  ],
  nearMisses: [],
  inspect,
};
