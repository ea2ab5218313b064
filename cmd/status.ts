/** `swarmgate status`: what the running filter does, in plain words first. */
import type { Argv, CommandModule } from 'yargs';
import { jsonText } from '../lib/report/escape.js';
import { renderStatus } from '../lib/report/status-view.js';
import type { StatusReport } from '../lib/report/status.js';
import { askInstance, controlOptions, mayColour, type ControlArguments } from './control.js';
import { refuseRepeated } from './inputs.js';

interface StatusArguments extends ControlArguments {
  json: boolean;
  all: boolean;
}

/** Columns where nobody says how many there are: what every terminal and every mail has. */
const columnsDefault = 80;

async function run(options: StatusArguments): Promise<void> {
  const status = (await askInstance(options, 'status', { all: options.all })) as StatusReport;
  if (options.json) {
    process.stdout.write(`${jsonText(status)}\n`);
    return;
  }
  const width = process.stdout.isTTY ? process.stdout.columns : columnsDefault;
  process.stdout.write(renderStatus(status, { width, colour: mayColour(), all: options.all }));
}

function build(yargs: Argv): Argv<StatusArguments> {
  return yargs
    .options(controlOptions)
    .option('json', { describe: 'one JSON object', type: 'boolean', default: false })
    .option('all', { describe: 'all hosts and decisions', type: 'boolean', default: false })
    .check((options) => {
      refuseRepeated(options, ['instance', 'socket']);
      return true;
    })
    .example('$0 status', 'is it blocking, how much traffic, which hosts')
    .example('$0 status --json --instance node1', 'the same for a program');
}

export const statusCommand: CommandModule<object, StatusArguments> = {
  command: 'status',
  describe: 'say what the running filter does',
  builder: build,
  handler: run,
};
