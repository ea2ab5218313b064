/** `swarmgate numa plan|install|remove`: one instance per NUMA node of this machine. */
import type { Argv, CommandModule } from 'yargs';
import { UserError } from './errors.js';
import { refuseRepeated } from './inputs.js';

export interface NumaArguments {
  action: string;
  json: boolean;
  sys: string | undefined;
  config: string | undefined;
  root: string | undefined;
  uplink: string[] | undefined;
  'dry-run': boolean;
  force: boolean;
}

const path = (describe: string): { type: 'string'; requiresArg: true; describe: string } => ({
  type: 'string',
  requiresArg: true,
  describe,
});

function build(yargs: Argv): Argv<NumaArguments> {
  return yargs
    .positional('action', { choices: ['plan', 'install', 'remove'], demandOption: true, type: 'string' })
    .option('json', { type: 'boolean', default: false, describe: 'plan: one JSON object' })
    .option('sys', path('a recorded /sys tree instead of this machine'))
    .option(
      'config',
      path('what all instances have in common (default: /etc/swarmgate/config.yaml if it is there)'),
    )
    .option('root', path('install, remove: folder that stands for /'))
    .option('uplink', {
      type: 'string',
      array: true,
      nargs: 1,
      requiresArg: true,
      describe: 'interface to the Internet; may be repeated (default: those with a default route)',
    })
    .option('dry-run', { type: 'boolean', default: false, describe: 'install: print the files instead' })
    .option('force', {
      type: 'boolean',
      default: false,
      describe: 'also replace or remove files that were edited; a copy is kept',
    })
    .check((options) => {
      refuseRepeated(options, ['sys', 'config', 'root']);
      if (options.json && options.action !== 'plan')
        throw new UserError('bad-argument', '--json is for numa plan');
      return true;
    })
    .example('$0 numa plan', 'instances, queues, processors; commands for interrupts to copy')
    .example('$0 numa install --dry-run', 'the files that install would write')
    .epilogue(
      'Each node with network interfaces gets an instance with its own queues, marks, socket and processors. ' +
        'Both directions of a flow are inspected by the same instance, also between two nodes.',
    );
}

export const numaCommand: CommandModule<object, NumaArguments> = {
  command: 'numa <action>',
  describe: 'plan one instance per NUMA node, write or remove its files',
  builder: build,
  handler: async (words) => {
    const { act } = await import('./numa-actions.js');
    act(words);
  },
};
