/** What a running Swarmgate can take over from a changed configuration, and what needs a restart. */
import { wantsNames, type Config } from './config.js';
import { valueIn } from './load.js';
import { valueText } from './render.js';
import { settings, type Command, type Setting } from './schema.js';

export interface Change {
  /** "mode" */
  readonly path: string;
  /** As in the file. */
  readonly before: string;
  readonly after: string;
}

export interface Differences {
  /** Can be taken over while running. */
  readonly live: readonly Change[];
  /** Cannot: with any of these the old configuration is to be kept as a whole. */
  readonly restart: readonly Change[];
  /** One sentence for the log that names those, or null if there are none. */
  readonly refusal: string | null;
}

/** A list that is there may change at any time. */
const beginsNames = 'with the first list the workers get further detectors, and more bytes of each packet';

/** @param command the command that runs; settings that mean nothing to it may change as they like */
export function differences(before: Config, after: Config, command: Command = 'run'): Differences {
  const changed = settings.flatMap((setting) => {
    if ((setting.command ?? command) !== command) return [];
    const change = changeOf(setting, before, after);
    return change === null ? [] : [{ setting, change }];
  });
  const begins = !wantsNames(before) && wantsNames(after);
  const why = ({ path, restart }: Setting): string | null =>
    begins && path.startsWith('names.') ? beginsNames : restart;
  const blocking = changed.flatMap(({ setting, change }) => {
    const reason = why(setting);
    return reason === null ? [] : [{ reason, change }];
  });
  return {
    live: changed.filter(({ setting }) => why(setting) === null).map(({ change }) => change),
    restart: blocking.map(({ change }) => change),
    refusal: blocking.length === 0 ? null : refusalOf(blocking),
  };
}

function changeOf(setting: Setting, before: Config, after: Config): Change | null {
  const [old, now] = [before, after].map((config) => valueText(setting, valueIn(config, setting.path)));
  return old === now ? null : { path: setting.path, before: old!, after: now! };
}

function refusalOf(blocking: readonly { reason: string; change: Change }[]): string {
  const parts = blocking.map(
    ({ reason, change }) => `${change.path} from ${change.before} to ${change.after} (${reason})`,
  );
  return `a running swarmgate cannot change ${parts.join(', ')}; the old configuration is kept as a whole, restart to take over the new one`;
}
