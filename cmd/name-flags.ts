/** The flags by which `scan` and `explain` are told which names count as BitTorrent. */
import { randomInt } from 'node:crypto';
import type { Options } from 'yargs';
import { listsOf, type ListedNames } from '../detectors/listed-names.js';
import { unprotectWord } from './inputs.js';

export interface NameArguments {
  blockName: readonly string[];
  blockNamesFile: readonly string[];
  blockAlpn: readonly string[];
}

export const noNames: NameArguments = { blockName: [], blockNamesFile: [], blockAlpn: [] };

const repeated = (describe: string) =>
  ({
    describe: `${describe} (may be repeated)`,
    type: 'string',
    array: true,
    nargs: 1,
    default: [] as string[],
    defaultDescription: 'none',
  }) as const satisfies Options;

/** For `yargs.options`. */
export const nameFlags = {
  'block-name': repeated('a host name that counts as BitTorrent, with all below it'),
  'block-names-file': repeated('a file with such names, one a line'),
  'block-alpn': repeated('a protocol that counts as BitTorrent where a TLS client offers it'),
};

/** The names to look for, as plain data that a thread can be given. */
export interface NameWords {
  readonly listed: readonly string[];
  readonly alpn: readonly string[];
}

/** The names to look for, or null. What reads them is loaded only if there are any. @throws UserError */
export async function nameWords(options: NameArguments): Promise<NameWords | null> {
  const { blockName, blockNamesFile, blockAlpn } = options;
  if (blockName.length + blockNamesFile.length + blockAlpn.length === 0) return null;
  const { givenNames } = await import('./name-lists.js');
  return givenNames({
    block: blockName.map(unprotectWord),
    files: blockNamesFile.map(unprotectWord),
    alpn: blockAlpn.map(unprotectWord),
  });
}

/** The same as the detectors take them. */
export function listedIn(words: NameWords | null): ListedNames | null {
  return words === null ? null : listsOf(words, randomInt(0x7fffffff));
}
