/** `swarmgate monitor`: watches network interfaces and blocks nothing. */
import type { Argv, ArgumentsCamelCase, CommandModule } from 'yargs';
import type { Config } from '../lib/config/config.js';
import { configFlags, environmentHelp, fileFrom, flagsFrom } from '../lib/config/flags.js';
import { loadConfig } from '../lib/config/load.js';
import { Capture } from './capture.js';
import { runDaemon } from './daemon.js';
import { exitUsage, UserError } from './errors.js';

interface MonitorArguments {
  config?: string;
  live: boolean;
}

function build(yargs: Argv): Argv<MonitorArguments> {
  return yargs
    .options(configFlags('monitor'))
    .option('live', {
      type: 'boolean',
      default: process.stdout.isTTY,
      describe: 'draw the live status on the terminal',
    })
    .example('$0 monitor -i eth0', 'watch one interface, say what is BitTorrent')
    .example("$0 monitor -i eth0 -i eth2 -f 'not port 22'", 'two interfaces, without SSH')
    .example('$0 monitor -i mirror0 --save-detected /var/tmp', 'keep the packets of what was found')
    .epilogue(
      `Needs root, or CAP_NET_RAW (and CAP_NET_ADMIN for promiscuous mode). Ctrl-C or SIGTERM stops; SIGHUP reads the configuration again.\n${environmentHelp}`,
    );
}

/** A file may be shared with `run`, so what is only for that is no error here. */
function passive(config: Config): Config {
  if (config.capture.interfaces.length === 0) {
    throw new UserError(
      'no-interface',
      'which interface? name it, e.g. swarmgate monitor -i eth0',
      exitUsage,
    );
  }
  return { ...config, mode: 'monitor' };
}

async function run(options: ArgumentsCamelCase<MonitorArguments>): Promise<void> {
  let wantsBlocking = false;
  await runDaemon({
    command: 'monitor',
    load: () => {
      const flags = flagsFrom(options, 'monitor');
      const config = loadConfig({ file: fileFrom(options), env: process.env, flags });
      wantsBlocking = config.mode === 'enforce';
      return passive(config);
    },
    makeIntake: (config, log) => {
      if (wantsBlocking) {
        log.warn(
          'mode enforce means nothing here: monitor sees copies of packets and can block none; swarmgate run does',
          'cannot-block',
        );
      }
      return new Capture(config, log);
    },
    live: options.live,
  });
}

export const monitorCommand: CommandModule<object, MonitorArguments> = {
  command: 'monitor',
  describe: 'watch network interfaces, or a mirror port, and block nothing (needs root)',
  builder: build,
  handler: run,
};
