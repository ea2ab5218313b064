/** The registry: every detector, in the order in which they are asked. Adding one is one line here. */
import type { Detector } from './detector.js';
import { dht } from './dht.js';
import { httpTracker } from './http-tracker.js';
import { httpTrackerAnswer } from './http-tracker-answer.js';
import { lsd } from './lsd.js';
import { peerHandshake } from './peer-handshake.js';
import { peerMessages } from './peer-messages.js';
import { udpTracker } from './udp-tracker.js';
import { utp } from './utp.js';

export const detectors: readonly Detector[] = [
  peerHandshake,
  dht,
  utp,
  udpTracker,
  httpTracker,
  httpTrackerAnswer,
  lsd,
  peerMessages,
];

/** What the engine is given. */
export const registry = { detectors, otherProtocols: [''], recogniseOther: () => 0 };
