/** The registry: every detector, in the order in which they are asked. Adding one is one line here. */
import { azureusDht } from './azureus-dht.js';
import { azureusLan } from './azureus-lan.js';
import { azureusMessages } from './azureus-messages.js';
import type { Detector } from './detector.js';
import { dht } from './dht.js';
import { httpTracker } from './http-tracker.js';
import { httpTrackerAnswer } from './http-tracker-answer.js';
import { listedNames, listsOf, type ListedNames } from './listed-names.js';
import { lsd } from './lsd.js';
import { mse } from './mse.js';
import { mseMiddle } from './mse-middle.js';
import { otherProtocols, recogniseOther, speaksUtp } from './other-protocols.js';
import { peerHandshake } from './peer-handshake.js';
import { peerHandshakeLate } from './peer-handshake-late.js';
import { peerMessages } from './peer-messages.js';
import { peerTls } from './peer-tls.js';
import { torrentFile } from './torrent-file.js';
import { udpTracker } from './udp-tracker.js';
import { utp } from './utp.js';
import { webDownload } from './web-download.js';
import { webSeed } from './web-seed.js';
import { webtorrentTracker } from './webtorrent-tracker.js';

export const detectors: readonly Detector[] = [
  peerHandshake,
  peerHandshakeLate,
  dht,
  azureusDht,
  utp,
  udpTracker,
  httpTracker,
  httpTrackerAnswer,
  lsd,
  azureusLan,
  webtorrentTracker,
  webSeed,
  webDownload,
  torrentFile,
  peerMessages,
  azureusMessages,
  peerTls,
  mse,
  mseMiddle,
];

/** What the engine is given. */
export const registry = { detectors, otherProtocols, recogniseOther, speaksUtp };

/** The same with the detectors of the operator's lists of names, if there are any. */
export function registryWith(lists: ListedNames | null): typeof registry {
  return lists === null ? registry : { ...registry, detectors: [...detectors, ...listedNames(lists)] };
}

/** Detectors that have nothing to find until the operator lists names, for `swarmgate detectors`. */
export const optionalDetectors: readonly Detector[] = listedNames(listsOf({ listed: [], alpn: [] }, 0));
