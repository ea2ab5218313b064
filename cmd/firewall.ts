/** `swarmgate firewall show|install|remove`: the kernel's rules by hand, for people who write them themselves too. */
import type { Argv, CommandModule } from 'yargs';
import {
  backend,
  chooseFirewall,
  removeEverything,
  showEverything,
  type BackendChoice,
} from '../lib/firewall/choose.js';
import { FirewallError, type Firewall, type RuleSet } from '../lib/firewall/firewall.js';
import { MarkField, markMaskDefault } from '../lib/firewall/marks.js';
import { requireInstance, requireSound } from '../lib/firewall/rules.js';
import { exitIncomplete, exitUsage, UserError } from './errors.js';
import { refuseRepeated } from './inputs.js';

/** Not allowed (EX_NOPERM of sysexits.h). */
export const exitPermission = 77;

interface FirewallArguments {
  action: string;
  planned: boolean;
  instance: string;
  rules: BackendChoice;
  queue: number;
  queues: number;
  'mark-mask': string;
  forwarded: boolean;
  local: boolean;
  interface: string[];
  enforce: boolean;
}

const once = ['action', 'instance', 'rules', 'queue', 'queues', 'mark-mask'];

function builder(yargs: Argv): Argv<FirewallArguments> {
  return yargs
    .positional('action', { choices: ['show', 'install', 'remove'], demandOption: true, type: 'string' })
    .option('planned', { type: 'boolean', default: false, describe: 'show: print what install would write' })
    .option('instance', { type: 'string', default: 'default', describe: 'name of the instance' })
    .option('rules', {
      choices: ['auto', 'nft', 'iptables'] as const,
      default: 'auto' as const,
      describe: 'backend; auto takes the first that works',
    })
    .option('queue', { type: 'number', default: 0, describe: 'first queue number' })
    .option('queues', { type: 'number', default: 1, describe: 'number of queues, one per worker' })
    .option('mark-mask', {
      type: 'string',
      default: `0x${markMaskDefault.toString(16)}`,
      describe: 'bits of the packet and connection mark to use: three or more neighbouring',
    })
    .option('forwarded', { type: 'boolean', default: true, describe: 'packets routed through this machine' })
    .option('local', { type: 'boolean', default: false, describe: 'packets of this machine itself' })
    .option('interface', {
      type: 'string',
      array: true,
      nargs: 1,
      default: [] as string[],
      describe: 'only packets in or out by this interface; may be repeated',
    })
    .option('enforce', {
      type: 'boolean',
      default: false,
      describe: 'drop and reject; else flows are only marked',
    });
}

/** @throws UserError 'bad-argument' */
function ruleSet(words: FirewallArguments): RuleSet {
  const { instance, queue, queues, forwarded, local, enforce } = words;
  const rules = {
    ...{ instance, forwarded, local, enforce, interfaces: words.interface },
    ...{ pairs: [], leave: [] },
    ...{ queueFirst: queue, queueCount: queues, mark: markField(words['mark-mask']) },
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
  requireInstance(words.instance);
  if (words.planned && words.action !== 'show')
    throw new UserError('bad-argument', `--planned goes with show, not with ${words.action}`);
  if (words.action === 'remove') await removeEverything(words.instance);
  else if (words.action === 'install') await install(words);
  else process.stdout.write(words.planned ? await planned(words) : await installed(words.instance));
}

async function install(words: FirewallArguments): Promise<void> {
  const rules = ruleSet(words);
  const firewall = await chooseFirewall(words.rules);
  // The other backend may hold rules of an earlier run: a packet would be queued twice.
  await removeEverything(words.instance, {}, firewall.name);
  await firewall.install(rules);
  const notes = firewall.notes.map((note) => `; ${note}`).join('');
  process.stdout.write(`installed with ${firewall.name}${notes}\n`);
}

/** A text needs no rights: where trying is not allowed, nft is taken for granted unless iptables is asked for. */
async function planned(words: FirewallArguments): Promise<string> {
  const rules = ruleSet(words);
  let firewall: Firewall;
  try {
    firewall = words.rules === 'auto' ? await chooseFirewall('auto') : backend(words.rules);
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
      throw error instanceof FirewallError ? asUserError(error) : error;
    }
  },
};
