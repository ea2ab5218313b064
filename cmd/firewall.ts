/** `swarmgate firewall show|install|remove`: the kernel's rules by hand, for people who write them themselves too. */
import type { Argv, CommandModule } from 'yargs';
import { ConfigError, type Config } from '../lib/config/config.js';
import { fileFrom } from '../lib/config/flags.js';
import { InstanceLock, takeTurn } from '../lib/control/instance-lock.js';
import { ControlError } from '../lib/control/protocol.js';
import {
  backend,
  chooseFirewall,
  removeEverything,
  showEverything,
  type BackendChoice,
} from '../lib/firewall/choose.js';
import { FirewallError, type Firewall, type RuleSet } from '../lib/firewall/firewall.js';
import { MarkField } from '../lib/firewall/marks.js';
import { requireInstance, requireSound } from '../lib/firewall/rules.js';
import {
  exitConfig,
  exitIncomplete,
  exitPermission,
  exitUnavailable,
  exitUsage,
  UserError,
} from './errors.js';
import { ruleSetOf } from './filter-plan.js';
import { refuseRepeated } from './inputs.js';
import { meetNeighbours } from './neighbour-watch.js';

interface FirewallArguments {
  action: string;
  planned: boolean;
  'left-behind': boolean;
  config: string | undefined;
  instance: string | undefined;
  rules: BackendChoice | undefined;
  queue: number | undefined;
  queues: number | undefined;
  'mark-mask': string | undefined;
  forwarded: boolean | undefined;
  local: boolean | undefined;
  interface: string[] | undefined;
  enforce: boolean | undefined;
}

const once = ['action', 'config', 'instance', 'rules', 'queue', 'queues', 'mark-mask'];

function builder(yargs: Argv): Argv<FirewallArguments> {
  return yargs
    .positional('action', { choices: ['show', 'install', 'remove'], demandOption: true, type: 'string' })
    .option('planned', { type: 'boolean', default: false, describe: 'show: print what install would write' })
    .option('left-behind', {
      type: 'boolean',
      default: false,
      describe:
        'remove: only what a process that is gone left, and nothing where `rules: none` says that they are yours',
    })
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'configuration whose rules they are (default: /etc/swarmgate/config.yaml if it is there)',
    })
    .option('instance', { type: 'string', describe: 'name of the instance (default)' })
    .option('rules', {
      choices: ['auto', 'nft', 'iptables'] as const,
      describe: 'backend; auto takes the first that works',
    })
    .option('queue', { type: 'number', describe: 'first queue number (queue.first)' })
    .option('queues', { type: 'number', describe: 'number of queues, one per worker (workers)' })
    .option('mark-mask', {
      type: 'string',
      describe: 'bits of the packet and connection mark to use: three or more neighbouring (mark_mask)',
    })
    .option('forwarded', {
      type: 'boolean',
      describe: 'packets routed through this machine (traffic.forwarded)',
    })
    .option('local', { type: 'boolean', describe: 'packets of this machine itself (traffic.local)' })
    .option('interface', {
      type: 'string',
      array: true,
      nargs: 1,
      describe: 'only packets in or out by this interface; may be repeated (traffic.interfaces)',
    })
    .option('enforce', { type: 'boolean', describe: 'drop and reject; else flows are only marked (mode)' })
    .epilogue(
      'show --planned and install write what `run` would with the same configuration; a flag wins over it.',
    );
}

async function configOf(words: FirewallArguments): Promise<Config> {
  const { loadConfig } = await import('../lib/config/load.js');
  return loadConfig({ file: fileFrom({ config: words.config }), env: process.env, flags: new Map() });
}

/** @throws UserError 'bad-argument', ConfigError */
async function ruleSet(words: FirewallArguments): Promise<RuleSet> {
  const planned = ruleSetOf(await configOf(words));
  const mask = words['mark-mask'];
  const rules = {
    ...planned,
    instance: words.instance ?? planned.instance,
    queueFirst: words.queue ?? planned.queueFirst,
    queueCount: words.queues ?? planned.queueCount,
    mark: mask === undefined ? planned.mark : markField(mask),
    forwarded: words.forwarded ?? planned.forwarded,
    local: words.local ?? planned.local,
    interfaces: words.interface ?? planned.interfaces,
    enforce: words.enforce ?? planned.enforce,
  };
  requireSound(rules);
  return rules;
}

function markField(text: string): MarkField {
  const value = /^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text) ? Number(text) : -1;
  try {
    if (value > 0 && value <= 0xffff_ffff) return new MarkField(value);
  } catch {
    // Said below.
  }
  throw new UserError(
    'bad-argument',
    `--mark-mask ${text}: write three or more neighbouring bits of 32, such as 0x70000000`,
  );
}

async function run(words: FirewallArguments): Promise<void> {
  refuseRepeated(words as unknown as Record<string, unknown>, once);
  const instance = words.instance ?? 'default';
  requireInstance(instance);
  if (words.planned && words.action !== 'show')
    throw new UserError('bad-argument', `--planned goes with show, not with ${words.action}`);
  if (words['left-behind'] && words.action !== 'remove')
    throw new UserError('bad-argument', `--left-behind goes with remove, not with ${words.action}`);
  if (words.action === 'remove') await remove(instance, words);
  else if (words.action === 'install') await install(words);
  else process.stdout.write(words.planned ? await planned(words) : await installed(instance));
}

async function remove(instance: string, words: FirewallArguments): Promise<void> {
  if (words['left-behind']) {
    if (InstanceLock.holder(instance) === null && !(await areTheirs(words))) await removeEverything(instance);
    return;
  }
  // What is only told must not stand in the way: a front end that fails, a rescue system without /proc.
  const nothingStood = await showEverything(instance).then(
    (text) => text === '',
    () => false,
  );
  await removeEverything(instance);
  const holder = holderOf(instance);
  if (holder !== null)
    throw new UserError(
      'instance-busy',
      `instance ${instance} runs as process ${holder} and puts its rules back within seconds; stop it, ` +
        'which removes them',
      exitUnavailable,
    );
  process.stdout.write(nothingStood ? `there are no rules of instance ${instance}\n` : `removed\n`);
}

function holderOf(instance: string): number | null {
  try {
    return InstanceLock.holder(instance);
  } catch {
    return null;
  }
}

/** The operator wrote the rules. A configuration that cannot be read says nothing of the kind. */
async function areTheirs(words: FirewallArguments): Promise<boolean> {
  try {
    return (await configOf(words)).rules === 'none';
  } catch {
    return false;
  }
}

async function install(words: FirewallArguments): Promise<void> {
  const rules = await ruleSet(words);
  const firewall = await chooseFirewall(words.rules ?? 'auto', { local: rules.local });
  const turn = await takeTurn();
  try {
    await meetNeighbours(rules.instance, rules.mark.mask);
    // The other backend may hold rules of an earlier run: a packet would be queued twice.
    await removeEverything(rules.instance, {}, firewall.name);
    await firewall.install(rules);
  } finally {
    turn.release();
  }
  const notes = firewall.notes.map((note) => `; ${note}`).join('');
  process.stdout.write(`installed with ${firewall.name}${notes}\n`);
}

/** A text needs no rights: where trying is not allowed, nft is taken for granted unless iptables is asked for. */
async function planned(words: FirewallArguments): Promise<string> {
  const rules = await ruleSet(words);
  const choice = words.rules ?? 'auto';
  let firewall: Firewall;
  try {
    firewall = choice === 'auto' ? await chooseFirewall('auto') : backend(choice);
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error;
    process.stderr.write(`swarmgate: cannot find out what works here, planned for nft: ${error.message}\n`);
    firewall = backend('nft');
  }
  return firewall.render(rules);
}

async function installed(instance: string): Promise<string> {
  return (await showEverything(instance)) || `# no rules of instance ${instance}\n`;
}

/** The error as the command line tells it. */
export function asUserError(error: FirewallError): UserError {
  const { code, message } = error;
  if (code === 'firewall-bad-rules') return new UserError('bad-argument', message, exitUsage);
  return new UserError(code, message, code === 'firewall-permission' ? exitPermission : exitIncomplete);
}

export const firewallCommand: CommandModule<object, FirewallArguments> = {
  command: 'firewall <action>',
  describe: "show, install or remove the kernel's rules",
  builder,
  handler: async (words) => {
    try {
      await run(words);
    } catch (error) {
      if (error instanceof ConfigError) throw new UserError(error.code, error.message, exitConfig);
      if (error instanceof ControlError)
        throw new UserError(
          error.code,
          error.message,
          error.code === 'control-permission' ? exitPermission : exitUnavailable,
        );
      throw error instanceof FirewallError ? asUserError(error) : error;
    }
  },
};
