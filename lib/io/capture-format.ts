/** Which capture format some bytes are: by content, never by file name. */
import { PcapWalker, pcapVariant, unsupportedPcapVersion } from './pcap-walker.js';
import { blockSection, PcapngWalker, sectionByteOrder, unsupportedSectionVersion } from './pcapng-walker.js';
import type { ReadWindow, RecordWalker } from './record-walker.js';

/** Why a file is refused: a stable code, and the rest of a sentence that begins with the file's name. */
export interface FormatRefusal {
  readonly code: 'not-a-capture' | 'unsupported-format';
  readonly reason: string;
}

/** First bytes of formats that are often met in place of a capture, with the way to turn them into one. */
const otherFormats: readonly (readonly [magic: string, what: string, advice: string])[] = [
  ['736e6f6f70000000', 'a Solaris snoop file', 'convert it with `editcap -F pcapng`'],
  ['474d4255', 'a Microsoft Network Monitor file', 'convert it with `editcap -F pcapng`'],
  ['52545353', 'a Microsoft Network Monitor file', 'convert it with `editcap -F pcapng`'],
  ['28b52ffd', 'compressed with zstd', 'unpack it with `zstd -d`'],
  ['fd377a585a00', 'compressed with xz', 'unpack it with `unxz`'],
  ['425a68', 'compressed with bzip2', 'unpack it with `bunzip2`'],
  ['04224d18', 'compressed with lz4', 'unpack it with `lz4 -d`'],
  ['504b0304', 'a zip archive', 'unpack it with `unzip`'],
  ['1f8b', 'gzip inside gzip', 'unpack it once with `gunzip`'],
];

const captureFormats = 'pcap, pcapng, or gzip of either';

/**
 * The walker for the capture that begins at `window.at`, which it leaves in front of the first record; null when more
 * bytes are needed to say; a refusal when it is no capture.
 */
export function detectCapture(window: ReadWindow): RecordWalker | FormatRefusal | null {
  const { view, at } = window;
  const length = window.end - at;
  if (length < 4) return null;
  const variant = pcapVariant(view, at);
  if (variant !== null) {
    if (length < variant.fileHeaderBytes) return null;
    const version = unsupportedPcapVersion(view, at, variant);
    if (version !== null) return unsupported(`is pcap of version ${version}`, 'convert it with `editcap`');
    window.at = at + variant.fileHeaderBytes;
    return new PcapWalker(view, at, variant);
  }
  if (view.getUint32(at) === blockSection) {
    if (length < 28) return null;
    const little = sectionByteOrder(view, at);
    if (little === null) return notCapture('starts like pcapng but has no byte-order magic');
    const version = unsupportedSectionVersion(view, at, little);
    if (version !== null) return unsupported(`is pcapng of version ${version}`, 'convert it with `editcap`');
    return new PcapngWalker();
  }
  return foreign(window);
}

/** Why a file is refused that ends before `detectCapture` could say anything; null when a capture had begun. */
export function refuseShort(window: ReadWindow): FormatRefusal | null {
  const length = window.end - window.at;
  if (length === 0) return notCapture('is empty');
  return length < 4 ? notCapture(`has only ${length} bytes`) : null;
}

function foreign(window: ReadWindow): FormatRefusal {
  const start = Buffer.from(window.bytes.subarray(window.at, Math.min(window.end, window.at + 8)));
  const hex = start.toString('hex');
  for (const [magic, what, advice] of otherFormats) {
    if (hex.startsWith(magic)) return unsupported(`is ${what}`, advice);
  }
  return notCapture(`starts with the bytes ${hex.replace(/(..)(?=.)/g, '$1 ')}`);
}

function unsupported(what: string, advice: string): FormatRefusal {
  return { code: 'unsupported-format', reason: `${what}, which cannot be read; ${advice}` };
}

function notCapture(what: string): FormatRefusal {
  return { code: 'not-a-capture', reason: `${what} and is no capture file; give it ${captureFormats}` };
}
