/**
 * Lists of names that the operator wants blocked: what may be written, in the configuration and in files with one name a
 * line, and what it means.
 *
 *     example.org      itself and every name below it, as dnsmasq and AdGuard read it
 *     =example.org     only itself
 *     *.example.org    only the names below it
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { domainToASCII } from 'node:url';
import { nameBytesMax } from '../wire/name-set.js';
import type { ConfigProblem } from './config.js';
import { quoted, ValueError, type ValueType } from './values.js';

/** Names over the configuration and all files. */
export const namesMax = 100_000;
export const namesFileBytesMax = 4 * 1024 * 1024;
/** Bad lines of one file that are shown; a file of another kind has nothing else. */
const badLinesMax = 20;
const protocolBytesMax = 64;

const nameExpects = 'a host name like example.org (with all below it), =example.org (alone) or *.example.org';

/** A name as NameSet takes it. @throws RangeError with a clause about what is wrong */
export function parseListedName(text: string): string {
  const [, form, rest] = /^(=|\*\.)?(.*)$/s.exec(text)! as unknown as [string, string | undefined, string];
  if (/[\s/:|^@,]/.test(rest)) throw new RangeError(`is no host name alone; expected ${nameExpects}`);
  const name = asciiName(rest.endsWith('.') ? rest.slice(0, -1) : rest);
  if (name === null || name.length > nameBytesMax)
    throw new RangeError(`is no host name; expected ${nameExpects}`);
  if (/(^|\.)[0-9]+$/.test(name))
    throw new RangeError('is an address, no name; addresses are matters of the firewall');
  if (!name.includes('.') && form !== '=')
    throw new RangeError(
      `is a whole top-level domain; write a name below it, or =${name} for the host of that name`,
    );
  return (form ?? '') + name;
}

/** Lower case, in the form in which names travel (punycode); null if it is no host name. */
function asciiName(text: string): string | null {
  const isAscii = /^[\x21-\x7e]*$/.test(text);
  // Other ASCII characters mean something to a URL: domainToASCII would take "a%2eb" apart.
  if (!/^[A-Za-z0-9_.\u0080-\u{10ffff}-]+$/u.test(text)) return null;
  const name = isAscii ? text.toLowerCase() : domainToASCII(text);
  const fits = name.split('.').every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));
  return fits ? name : null;
}

export const listedName: ValueType = {
  expects: nameExpects,
  schema: { type: 'string' },
  read(given) {
    if (typeof given.value !== 'string')
      throw new ValueError(`${quoted(given)} is wrong; expected ${nameExpects}`);
    try {
      return parseListedName(given.value);
    } catch (error) {
      if (error instanceof RangeError) throw new ValueError(`${quoted(given)} ${error.message}`);
      throw error;
    }
  },
  text: (value) => JSON.stringify(value),
};

const protocolExpects = `an ALPN protocol id of 1 to ${protocolBytesMax} ASCII characters without white space`;

export const protocolId: ValueType = {
  expects: protocolExpects,
  schema: { type: ['string', 'number'] },
  read(given) {
    if (!/^[\x21-\x7e]{1,64}$/.test(given.text) || Array.isArray(given.value))
      throw new ValueError(`${quoted(given)} is wrong; expected ${protocolExpects}`);
    return given.text;
  },
  text: (value) => JSON.stringify(value),
};

export interface NameLists {
  /** Each name once, as NameSet takes them. */
  readonly names: readonly string[];
  readonly problems: readonly ConfigProblem[];
}

/** The given names and those of the files. */
export function readNames(block: readonly string[], files: readonly string[]): NameLists {
  const names = new Set(block);
  const problems: ConfigProblem[] = [];
  for (const file of files) {
    const report = (line: number | null, message: string): void => {
      problems.push({ source: file, line, path: '', message });
    };
    readList(file, names, report);
    if (names.size > namesMax) {
      report(null, `the lists have more than ${namesMax.toLocaleString('en-US')} names; shorten them`);
      break;
    }
  }
  return { names: [...names], problems };
}

type Report = (line: number | null, message: string) => void;

function readList(file: string, names: Set<string>, report: Report): void {
  const text = textOf(file, report);
  let bad = 0;
  for (const [index, raw] of (text ?? '').split('\n').entries()) {
    const line = raw.replace(/#.*$/s, '').trim();
    if (line === '') continue;
    if (names.size > namesMax) return;
    try {
      names.add(parseListedName(line));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      if (++bad > badLinesMax) {
        report(null, 'and further lines; this does not look like a list of names');
        return;
      }
      report(index + 1, `${quoted({ value: line, text: line, line: null })} ${error.message}`);
    }
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file; check the path of the list',
  EACCES: 'permission denied; make it readable for the user that swarmgate runs as',
};

/** The text of a file, or null after a problem. */
function textOf(file: string, report: Report): string | null {
  let handle: number | null = null;
  try {
    // Non-blocking, so that a named pipe does not hold up the start.
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(handle).isFile()) {
      report(null, 'this is no regular file; name a file with one name a line');
      return null;
    }
    const bytes = Buffer.alloc(namesFileBytesMax + 1);
    let length = 0;
    for (let got = 1; got > 0 && length < bytes.length; length += got)
      got = readSync(handle, bytes, length, bytes.length - length, null);
    if (length <= namesFileBytesMax)
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length));
    report(null, `larger than ${namesFileBytesMax / 1024 ** 2} MiB; shorten the list`);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const why = error instanceof TypeError ? 'not UTF-8; save it as UTF-8' : reasons[code];
    report(null, why ?? `it cannot be read (${message})`);
  } finally {
    if (handle !== null) closeSync(handle);
  }
  return null;
}
