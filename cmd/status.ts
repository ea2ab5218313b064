/** `swarmgate status`: what the running filter does, in plain words first; with --all, what all instances do together. */
import type { Argv, CommandModule } from 'yargs';
import { jsonText, printable } from '../lib/report/escape.js';
import { renderSum, sumStatus } from '../lib/report/status-sum.js';
import { renderStatus } from '../lib/report/status-view.js';
import type { StatusReport } from '../lib/report/status.js';
import { askAll, socketFolder, type AllInstances } from './all-instances.js';
import { askInstance, controlOptions, mayColour, type ControlArguments } from './control.js';
import { UserError } from './errors.js';
import { refuseRepeated } from './inputs.js';

interface StatusArguments extends ControlArguments {
  json: boolean;
  all: boolean;
  full: boolean;
  folder: string | undefined;
}

/** Columns where nobody says how many there are: what every terminal and every mail has. */
const columnsDefault = 80;

const width = (): number => (process.stdout.isTTY ? process.stdout.columns : columnsDefault);

function say(text: string): void {
  process.stdout.write(text);
}

function page(status: StatusReport, full: boolean): string {
  return renderStatus(status, { width: width(), colour: mayColour(), all: full });
}

async function run(options: StatusArguments): Promise<void> {
  const { json, full } = options;
  if (options.all) {
    sayAll(await askAll(options.folder ?? socketFolder, full), options);
    return;
  }
  const status = (await askInstance(options, 'status', { all: full })) as StatusReport;
  say(json ? `${jsonText(status)}\n` : page(status, full));
}

function sayAll({ statuses, silent }: AllInstances, { json, full }: StatusArguments): void {
  for (const { message, code } of silent)
    process.stderr.write(`swarmgate: warning: ${printable(message, Infinity)} [${code}]\n`);
  if (json) {
    say(`${jsonText({ instances: statuses, sum: sumStatus(statuses), silent })}\n`);
    return;
  }
  if (full || statuses.length === 1) for (const status of statuses) say(`${page(status, full)}\n`);
  if (statuses.length > 1) say(renderSum(statuses, { width: width(), colour: mayColour() }));
}

/** @throws UserError */
function refuseBoth({ all, folder }: StatusArguments, given: readonly string[]): void {
  const one = ['instance', 'socket'].find((name) => given.includes(name));
  if (all && one !== undefined)
    throw new UserError('bad-argument', `--all asks every instance: leave it or --${one} out`);
  if (!all && folder !== undefined)
    throw new UserError('bad-argument', '--folder is where --all looks for instances: give both');
}

function build(yargs: Argv): Argv<StatusArguments> {
  return yargs
    .options(controlOptions)
    .option('json', { describe: 'one JSON object', type: 'boolean', default: false })
    .option('all', {
      describe: 'all instances on this machine: a line for each, and their sum',
      type: 'boolean',
      default: false,
    })
    .option('full', { describe: 'all hosts and decisions', type: 'boolean', default: false })
    .option('folder', {
      describe: `with --all: folder of the control sockets [default: "${socketFolder}"]`,
      type: 'string',
      requiresArg: true,
    })
    .check((options) => {
      refuseRepeated(options, ['instance', 'socket', 'folder']);
      const { instance, socket } = options as Partial<ControlArguments>;
      const isGiven = [
        ...(instance === controlOptions.instance.default ? [] : ['instance']),
        ...(socket === undefined ? [] : ['socket']),
      ];
      refuseBoth(options, isGiven);
      return true;
    })
    .example('$0 status', 'is it blocking, how much traffic, which hosts')
    .example('$0 status --all', 'all instances, and their sum')
    .example('$0 status --json --instance node1', 'the same for a program');
}

export const statusCommand: CommandModule<object, StatusArguments> = {
  command: 'status',
  describe: 'say what the running filter does',
  builder: build,
  handler: run,
};
