/** Test support: every detector there is, those of listed names with a list of samples. */
import { detectors } from './index.js';
import { listedNames, listsOf } from './listed-names.js';

/** What the fixtures of the listed-names detectors are written for. */
export const sampleNames = ['listed.example', '=exact.example', '*.below.example', 'example.com'];
export const sampleProtocols = ['listed-protocol'];

export const everyDetector = [
  ...detectors,
  ...listedNames(listsOf({ listed: sampleNames, alpn: sampleProtocols }, 0x5eed)),
];
