/** `swarmgate check`: is the configuration right, and what does it say. */
import type { CommandModule } from 'yargs';

interface CheckArguments {
  print: boolean;
}

export const checkCommand: CommandModule<object, CheckArguments> = {
  command: 'check',
  describe: 'check the configuration and show what it sets',
  builder: async (yargs) => {
    const { configFlags, environmentHelp } = await import('../lib/config/flags.js');
    return yargs
      .options(configFlags())
      .option('print', {
        type: 'boolean',
        default: false,
        describe: 'print the whole configuration in force, as a file that means the same',
      })
      .example('$0 check --config new.yaml', 'is this file right?')
      .epilogue(environmentHelp);
  },
  handler: async (argv) => {
    const { check } = await import('./check-report.js');
    check(argv, argv.print);
  },
};
