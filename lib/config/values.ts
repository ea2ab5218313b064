/**
 * The types that a setting may have. Each reads a value as it was given (by YAML, environment or flag) and says in one
 * sentence what would be right; each writes a value back as YAML, and describes itself as JSON Schema.
 */
import { stringify } from 'yaml';
import { MarkField } from '../firewall/marks.js';
import { cpuListText, parseCpuList } from '../numa/cpu-list.js';
import { didYouMean } from './nearest.js';
import { networkText, parseNetwork } from './network.js';

/** A value as it was given. */
export interface Given {
  /** string, number, boolean, null, or the elements of a list. */
  readonly value: string | number | boolean | null | readonly Given[];
  /** As it was written: an info-hash of digits only must not become a number. */
  readonly text: string;
  /** From 1; null outside files. */
  readonly line: number | null;
}

/** A value that is not what the setting expects; the message is a whole clause about the value. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
}

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface ValueType {
  /** "a whole number from 1 to 256" */
  readonly expects: string;
  readonly schema: JsonSchema;
  /** @throws ValueError */
  read(given: Given): unknown;
  /** The value as one line of YAML. */
  text(value: unknown): string;
}

const plainText = (value: unknown): string => stringify(value, { lineWidth: 0 }).trimEnd();

/** What was given, fit for a message: quoted, short, without control characters. */
export function quoted({ value, text }: Given): string {
  if (Array.isArray(value)) return 'a list';
  const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  return `"${shown.replace(/[^\x20-\x7e]/gu, '?')}"`;
}

function wrong(given: Given, expects: string, hint = ''): ValueError {
  if (given.value === null) return new ValueError(`is empty; expected ${expects}${hint}`);
  return new ValueError(`${quoted(given)} is wrong; expected ${expects}${hint}`);
}

/** The words of a value that names something; a number is taken as it was written. */
function wordOf(given: Given, expects: string): string {
  if (typeof given.value === 'string') return given.value;
  if (typeof given.value === 'number') return given.text;
  throw wrong(given, expects);
}

export function oneOf(...words: readonly string[]): ValueType {
  const expects = `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
  return {
    expects,
    schema: { enum: words },
    read: (given) => {
      const word = wordOf(given, expects);
      if (!words.includes(word)) throw wrong(given, expects, didYouMean(word, words));
      return word;
    },
    text: plainText,
  };
}

/** Binary units only: whether "4MB" is 4,000,000 or 4,194,304 bytes, people disagree. */
const byteUnits: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

function bytesOf(given: Given, expects: string): number {
  const match = /^(\d{1,15}) ?([A-Za-z]+)$/.exec(given.text);
  if (match === null) throw wrong(given, expects);
  const unit = byteUnits[match[2]!];
  if (unit === undefined) throw wrong(given, expects, '; units are KiB, MiB and GiB, written so');
  return Number(match[1]) * unit;
}

const grouped = (value: number): string => value.toLocaleString('en-US');

/** @param unit 'bytes' also takes "4 MiB" */
export function wholeNumber(min: number, max: number, unit: 'bytes' | null = null): ValueType {
  const expects = `a whole number${unit === null ? '' : ' of bytes'} from ${grouped(min)} to ${grouped(max)}`;
  const number = { type: 'integer', minimum: min, maximum: max };
  return {
    expects,
    schema: unit === null ? number : { anyOf: [number, { type: 'string', pattern: '^\\d+ ?[KMG]iB$' }] },
    read: (given) => {
      const { value } = given;
      if (typeof value === 'string' && /^\d+$/.test(value)) throw wrong(given, expects, ', without quotes');
      const number = typeof value === 'string' && unit === 'bytes' ? bytesOf(given, expects) : value;
      if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > max)
        throw wrong(given, expects);
      return number;
    },
    text: plainText,
  };
}

/** `word` (read as `meaning`), or a value of the other type. */
export function orWord(word: string, meaning: string | null, type: ValueType): ValueType {
  const expects = `${word} or ${type.expects}`;
  return {
    expects,
    schema: { anyOf: [{ const: word }, ...(meaning === null ? [{ type: 'null' }] : []), type.schema] },
    read: (given) => {
      if (given.value === word || (meaning === null && given.value === null)) return meaning;
      try {
        return type.read(given);
      } catch (error) {
        if (error instanceof ValueError)
          throw new ValueError(error.message.replace(`expected ${type.expects}`, `expected ${expects}`));
        throw error;
      }
    },
    text: (value) => (value === meaning ? word : type.text(value)),
  };
}

const switchWords: Readonly<Record<string, boolean>> = { on: true, off: false, true: true, false: false };

/** @param words how it is written back: true/false, or on/off */
export function switched(words: readonly [string, string]): ValueType {
  const expects = words.join(' or ');
  return {
    expects,
    schema: { enum: [true, false, 'on', 'off'] },
    read: (given) => {
      const value = switchWords[given.text];
      if (value === undefined) throw wrong(given, expects);
      return value;
    },
    text: (value) => words[value === true ? 0 : 1],
  };
}

export const markMask: ValueType = {
  expects: 'three or more neighbouring bits, like 0x70000000',
  schema: {
    anyOf: [
      { type: 'integer', minimum: 7, maximum: 0xffff_ffff },
      { type: 'string', pattern: '^0x' },
    ],
  },
  read(given) {
    try {
      if (typeof given.value !== 'number') throw new RangeError('no number');
      return new MarkField(given.value).mask;
    } catch {
      throw wrong(given, this.expects);
    }
  },
  text: (value) => `0x${(value as number).toString(16)}`,
};

/** A word that must fit a pattern; `tidy` brings equal things to one form. */
function word(expects: string, pattern: RegExp, tidy: (word: string) => string = (text) => text): ValueType {
  return {
    expects,
    schema: { type: ['string', 'number'] },
    read: (given) => {
      const text = tidy(wordOf(given, expects));
      if (!pattern.test(text)) throw wrong(given, expects);
      return text;
    },
    text: plainText,
  };
}

/** The rule names of the firewall are made from it. */
export const instanceName = word(
  '1 to 15 lower-case letters, digits, "-" and "_", beginning with a letter or digit',
  /^[a-z0-9][a-z0-9_-]{0,14}$/,
);

/**
 * Kernel: dev_valid_name of net/core/dev.c, up to 15 bytes, not "." or "..", no "/", ":" or white space. Ours: no "*" and
 * no "+", which nft and iptables read as patterns, no quotes, and no "-" or "!" in front.
 */
export const interfaceName = word(
  'a network interface: 1 to 15 characters without "/", ":", white space, quotes and patterns',
  /^(?!\.{1,2}$)[^\s/:*+"'\\\p{C}!-][^\s/:*+"'\\\p{C}]{0,14}$/u,
  // The kernel counts bytes: a name that is too long in bytes must not fit the pattern.
  (name) => (Buffer.byteLength(name) > 15 ? '' : name),
);

const macWrong = 'a hardware address like 02:00:5e:10:00:01';
/** "eth0/eth2": no interface name has a slash. */
export const interfacePair: ValueType = {
  expects: 'two network interfaces like eth0/eth2',
  schema: { type: 'string', pattern: '^[^/]+/[^/]+$' },
  read(given) {
    const names = wordOf(given, this.expects).split('/');
    if (names.length !== 2) throw wrong(given, this.expects);
    return names.map((text) => interfaceName.read({ value: text, text, line: given.line }));
  },
  text: (value) => plainText((value as readonly string[]).join('/')),
};

export const processorList: ValueType = {
  expects: 'numbers and ranges of processors like "0-3,8"',
  schema: {
    anyOf: [
      { type: 'integer', minimum: 0 },
      { type: 'string', pattern: '^\\d+(-\\d+)?(,\\d+(-\\d+)?)*$' },
    ],
  },
  read(given) {
    const processors = parseCpuList(wordOf(given, this.expects));
    if (processors === null || processors.length === 0) throw wrong(given, this.expects);
    return processors;
  },
  text: (value) => plainText(cpuListText(value as readonly number[])),
};

export const macAddress: ValueType = {
  ...word(macWrong, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/),
  read: (given) => {
    const text = wordOf(given, macWrong).toLowerCase();
    if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text)) return text;
    const digits = text.replace(/[-.:]/g, '');
    const meant = /^[0-9a-f]{12}$/.test(digits) ? `; write ${digits.match(/../g)!.join(':')}` : '';
    throw wrong(given, macWrong, meant);
  },
};

export const infoHash = word(
  'an info-hash of 40 or 64 hexadecimal digits',
  /^([0-9a-f]{40}|[0-9a-f]{64})$/,
  (text) => text.toLowerCase(),
);

export const network: ValueType = {
  ...word('a network like 10.0.0.0/8 or 2001:db8::/32', /./),
  read(given) {
    const text = wordOf(given, this.expects);
    try {
      return networkText(parseNetwork(text));
    } catch (error) {
      if (error instanceof RangeError) throw new ValueError(`${quoted(given)} ${error.message}`);
      throw error;
    }
  },
};

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export const portRange: ValueType = {
  expects: 'a port from 1 to 65535 or a range like "6000-6010"',
  schema: {
    anyOf: [
      { type: 'integer', minimum: 1, maximum: 65_535 },
      { type: 'string', pattern: '^\\d+-\\d+$' },
    ],
  },
  read(given) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(wordOf(given, this.expects));
    const first = Number(match?.[1] ?? 0);
    const last = Number(match?.[2] ?? first);
    if (first < 1 || last > 65_535) throw wrong(given, this.expects);
    if (first > last) throw wrong(given, this.expects, `; write ${last}-${first}`);
    return { first, last } satisfies PortRange;
  },
  text: (value) => {
    const { first, last } = value as PortRange;
    return first === last ? String(first) : `${first}-${last}`;
  },
};

/** "address:port". @returns null if it is not that */
export function parseListen(text: string): { readonly address: string; readonly port: number } | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const [, six, four, digits] = match;
  const address = six ?? four!;
  const port = Number(digits);
  try {
    if (parseNetwork(address).version !== (six === undefined ? 4 : 6)) return null;
  } catch {
    return null;
  }
  return port >= 1 && port <= 65_535 ? { address, port } : null;
}

export const listenAddress: ValueType = {
  ...word('an address with a port, like 127.0.0.1:9469 or [::1]:9469', /./),
  read(given) {
    const text = wordOf(given, this.expects);
    if (parseListen(text) !== null) return text;
    const port = /^(?:localhost|\*)?:?(\d+)$/.exec(text)?.[1];
    throw wrong(given, this.expects, port === undefined ? '' : `; write 127.0.0.1:${port}`);
  },
};

/** Bytes of a path that a Unix socket's address can hold (108 with the closing zero; unix(7)). */
const socketPathBytesMax = 107;

export const socketPath: ValueType = word(
  `a full path of at most ${socketPathBytesMax} bytes, like /run/swarmgate/default.sock`,
  /^\/[^\0]*[^\0/]$/,
  (path) => (Buffer.byteLength(path) > socketPathBytesMax ? '' : path),
);

export const listFile: ValueType = word('a full path like /etc/swarmgate/trackers.txt', /^\/[^\0]*[^\0/]$/);

export const outputPath: ValueType = word(
  'a full path like /var/log/swarmgate/eve.json, or "-" for standard output',

  /^(-|\/[^\0]*[^\0/])$/,
);

export const directoryPath: ValueType = word(
  'a full path of a directory, like /var/lib/swarmgate/saved',
  /^\/([^\0]*[^\0/])?$/,
);

const filterLengthMax = 4096;

/** Whether libpcap takes it is found out where the interface is known: what a word means depends on its link layer. */
export const filterExpression: ValueType = {
  expects: `an expression like "not port 22", at most ${filterLengthMax} characters`,
  schema: { type: ['string', 'number', 'null'] },
  read(given) {
    if (given.value === null) return '';
    const text = wordOf(given, this.expects).trim();
    // Control characters would spoil the log, and libpcap's language has none.
    if (text.length > filterLengthMax || /\p{C}/u.test(text)) throw wrong(given, this.expects);
    return text;
  },
  text: plainText,
};
