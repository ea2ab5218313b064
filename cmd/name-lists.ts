/** Names given on the command line of a scan: checked as those of a configuration are. */
import { commandLine, ConfigError, type ConfigProblem } from '../lib/config/config.js';
import { listedName, protocolId, readNames } from '../lib/config/names.js';
import { ValueError, type ValueType } from '../lib/config/values.js';
import { UserError } from './errors.js';
import type { NameWords } from './name-flags.js';

interface Given {
  readonly block: readonly string[];
  readonly files: readonly string[];
  readonly alpn: readonly string[];
}

/** @throws UserError that names everything that is wrong */
export function givenNames({ block, files, alpn }: Given): NameWords {
  const problems: ConfigProblem[] = [];
  const words = (type: ValueType, flag: string, values: readonly string[]): string[] =>
    values.flatMap((text) => {
      try {
        return [type.read({ value: text, text, line: null }) as string];
      } catch (error) {
        if (!(error instanceof ValueError)) throw error;
        problems.push({ source: commandLine, line: null, path: flag, message: error.message });
        return [];
      }
    });
  const names = words(listedName, '--block-name', block);
  const protocols = words(protocolId, '--block-alpn', alpn);
  const lists = readNames(names, files);
  problems.push(...lists.problems);
  if (problems.length > 0) throw new UserError('bad-names', new ConfigError(problems).message);
  return { listed: lists.names, alpn: protocols };
}
