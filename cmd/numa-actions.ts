/** What `swarmgate numa` does. Apart from the command, which is loaded with every start and must not load YAML. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../lib/config/config.js';
import { fileFrom } from '../lib/config/flags.js';
import { combine, defaultFile } from '../lib/config/load.js';
import { readConfigFile } from '../lib/config/yaml-file.js';
import { cpuListText } from '../lib/numa/cpu-list.js';
import { makePlan, type Plan } from '../lib/numa/plan.js';
import { SysTree } from '../lib/numa/sys-tree.js';
import { readTopology, type Topology } from '../lib/numa/topology.js';
import { uplinksIn } from '../lib/numa/uplinks.js';
import { thisMachine } from '../lib/numa/workers.js';
import { jsonText } from '../lib/report/escape.js';
import { exitUnavailable, UserError } from './errors.js';
import { filesOf, tableFile, type PlannedFile } from './numa-files.js';
import { install, remove, type Written } from './numa-install.js';
import { planObject, planText } from './numa-report.js';
import type { NumaArguments } from './numa.js';

interface Planned {
  readonly topology: Topology;
  readonly plan: Plan;
  readonly base: Config;
}

/** The file alone: environment and flags are those of this command and not of the instances. @throws ConfigError */
function baseConfig({ config, root }: NumaArguments): Config {
  const named = fileFrom({ config });
  const file = named ?? join(root ?? '/', defaultFile);
  return combine(readConfigFile(file, named === null), file, { env: {}, flags: new Map() }).config;
}

function uplinksHere(): string[] {
  const proc = new SysTree('/proc/net');
  return uplinksIn(proc.text('route') ?? '', proc.text('ipv6_route') ?? '');
}

/** In a container the kernel shows more processors than may be used. */
function permittedOf(topology: Topology): Topology {
  const { permitted } = thisMachine();
  const processors = topology.processors.filter(({ id }) => permitted.has(id));
  const without = topology.processors.filter(({ id }) => !permitted.has(id)).map(({ id }) => id);
  if (without.length === 0 || processors.length === 0) return topology;
  const problem = `processors ${cpuListText(without)} may not be used here (container, or started with taskset): left out`;
  return { ...topology, processors, problems: [...topology.problems, problem] };
}

function planned(words: NumaArguments): Planned {
  const base = baseConfig(words);
  const isArm = process.arch === 'arm64' || process.arch === 'arm';
  const topology =
    words.sys === undefined ? permittedOf(readTopology('/sys', { isArm })) : readTopology(words.sys);
  if (words.sys !== undefined && topology.interfaces.length === 0 && topology.problems.length > 2)
    throw new UserError(
      'numa-no-tree',
      `${words.sys}: no /sys tree: it has neither processors nor interfaces`,
    );
  const plan = makePlan(topology, {
    queueFirst: base.queue.first,
    batch: base.batch,
    markMask: base.markMask,
    interfaces: base.traffic.interfaces,
    uplinks: words.uplink ?? (words.sys === undefined ? uplinksHere() : []),
    workers: base.workers === 'auto' ? null : base.workers,
  });
  return { topology, plan, base };
}

const launchScript = fileURLToPath(new URL('../../deploy/numa/launch.sh', import.meta.url));

const servicesOf = (names: readonly string[]): string => names.map((name) => `swarmgate@${name}`).join(' ');

const namesFrom = (files: readonly Written[]): string[] =>
  files.flatMap(({ path }) => /\/(node\d{1,4})\.yaml$/.exec(path)?.[1] ?? []);

function commandsFor(names: readonly string[], gone: readonly string[] = []): string[] {
  return [
    'systemctl daemon-reload',
    ...(gone.length === 0 ? [] : [`systemctl disable --now ${servicesOf(gone)}`]),
    'systemctl disable --now swarmgate.service',
    `systemctl enable ${servicesOf(names)}`,
    // Those that run already have to read their files again.
    `systemctl restart ${servicesOf(names)}`,
    '# or, without systemd:',
    `${launchScript} start`,
  ];
}

function say(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

function writtenText({ path, what, backup }: Written): string {
  const edited = what === 'kept' ? ' (edited; --force removes it and keeps a copy)' : '';
  return `${what}: ${path}${edited}${backup === null ? '' : `, the edited one is ${backup}`}`;
}

function fileText({ path, text }: PlannedFile): string[] {
  return [`--- ${path}`, ...text.trimEnd().split('\n'), ''];
}

function runInstall(words: NumaArguments): void {
  const { plan, base } = planned(words);
  const files = filesOf(plan, base);
  const names = plan.instances.map(({ name }) => name);
  if (words['dry-run']) {
    say([...files.flatMap(fileText), '--- then', ...commandsFor(names)]);
    return;
  }
  const written = install(words.root ?? '/', files, words.force);
  const gone = namesFrom(written.filter(({ what }) => what === 'removed' || what === 'kept'));
  const commands = commandsFor(names, gone).map((line) => `  ${line}`);
  say([...written.map(writtenText), '', 'Now, as root:', ...commands]);
}

function runRemove(words: NumaArguments): void {
  const root = words.root ?? '/';
  if (words['dry-run']) throw new UserError('bad-argument', '--dry-run is for numa install');
  const written = remove(root, words.force);
  if (written.length === 0) {
    throw new UserError(
      'numa-not-installed',
      `nothing to remove: there is no ${join(root, tableFile)}`,
      exitUnavailable,
    );
  }
  const names = namesFrom(written);
  say(written.map(writtenText));
  if (names.length === 0) return;
  say([
    '',
    'If they run still, as root:',
    `  systemctl disable --now ${servicesOf(names)}`,
    '  systemctl daemon-reload',
  ]);
}

export function act(words: NumaArguments): void {
  if (words.action === 'install') runInstall(words);
  else if (words.action === 'remove') runRemove(words);
  else {
    const { topology, plan } = planned(words);
    process.stdout.write(words.json ? `${jsonText(planObject(topology, plan))}\n` : planText(topology, plan));
  }
}
