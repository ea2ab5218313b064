/** `swarmgate run`: the inline filter. */
import type { Argv, ArgumentsCamelCase, CommandModule } from 'yargs';
import { configFlags, environmentHelp, fileFrom, flagsFrom } from '../lib/config/flags.js';
import { loadConfig } from '../lib/config/load.js';
import { runDaemon } from './daemon.js';
import { Filter } from './filter.js';

interface RunArguments {
  config?: string;
  live: boolean;
}

function build(yargs: Argv): Argv<RunArguments> {
  return yargs
    .options(configFlags())
    .option('live', {
      type: 'boolean',
      default: process.stdout.isTTY,
      describe: 'draw the live status on the terminal',
    })
    .example('$0 run', 'watch forwarded traffic, block nothing, say what would be blocked')
    .example('$0 run --mode enforce', 'block BitTorrent')
    .example('$0 run --local --interface eth0', "also this machine's own traffic, on eth0 only")
    .epilogue(
      `Needs root, or CAP_NET_ADMIN. Ctrl-C or SIGTERM stops in order; SIGHUP reads the configuration again.\n${environmentHelp}`,
    );
}

async function run(options: ArgumentsCamelCase<RunArguments>): Promise<void> {
  await runDaemon({
    command: 'run',
    load: () => loadConfig({ file: fileFrom(options), env: process.env, flags: flagsFrom(options) }),
    makeIntake: (config, log) => new Filter(config, log),
    live: options.live,
  });
}

export const runCommand: CommandModule<object, RunArguments> = {
  command: 'run',
  describe: 'filter the traffic of this router (needs root)',
  builder: build,
  handler: run,
};
