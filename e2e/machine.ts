/**
 * A machine with systemd, inside this one: namespaces of its own for everything, a root file system that is forgotten
 * at the end, and this machine's programs and kernel. It is the router; hosts hang at its interfaces up1, up2, ...
 * Promise: nothing of this machine is changed, and closing (also by an error or a signal) leaves nothing. What a killed
 * run left is removed by the next.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryPath } from '../lib/testing.js';
import { atProcessEnd, Running, slowness, until } from './process.js';

/** Processes are numbered per namespace, and control groups are not. */
const prefix = `sge2e-machine-${readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')}-`;
const systemd = '/lib/systemd/systemd';
const path = [
  ...['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'],
  dirname(process.execPath),
].join(':');
const boot = repositoryPath('e2e', 'service', 'boot');
const unshare = [
  ...['unshare', '--mount', '--pid', '--net', '--ipc', '--uts', '--cgroup'],
  ...['--fork', '--kill-child'],
];

export interface Ended {
  readonly code: number | null;
  /** Standard output and error. */
  readonly text: string;
}

/** Where the one hierarchy of control groups is mounted, or null (cgroups(7)). */
function groupsRoot(): string | null {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((each) => each.includes(' - cgroup2 '));
  return line?.split(' ')[4] ?? null;
}

/** The reason why no machine with systemd can be booted here, or false. */
export function withoutMachine(): string | false {
  if (!existsSync(systemd)) return 'systemd is not installed';
  const groups = groupsRoot();
  if (groups === null) return 'control groups of version 2 are not mounted';
  const folder = makeFolder();
  try {
    const group = groupOf(groups, folder);
    mkdirSync(group);
    rmdirSync(group);
    const [command, ...words] = [...unshare, boot, '--try', folder];
    const { status, stderr } = spawnSync(command, words, { encoding: 'utf8', timeout: 20_000 });
    return status === 0 ? false : `mounts are not permitted here (${stderr.trim().split('\n').at(-1) ?? ''})`;
  } catch (error) {
    return `no control group can be made (${(error as Error).message})`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeFolder(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`)));
}

function groupOf(groups: string, folder: string): string {
  return join(groups, basename(folder));
}

/** A control group and those below, the innermost first. */
function allGroups(group: string): string[] {
  if (!existsSync(group)) return [];
  const below = readdirSync(group, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
  return [...below, group].sort((left, right) => right.length - left.length);
}

function killGroup(group: string): void {
  for (const each of allGroups(group)) {
    try {
      for (const pid of readFileSync(join(each, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean))
        process.kill(Number(pid), 'SIGKILL');
    } catch {
      // The process or the group ended at this moment.
    }
  }
}

const moment = new Int32Array(new SharedArrayBuffer(4));

/** The same without letting anything else run, for two seconds at the most. */
function removeGroupNow(group: string): void {
  for (let tries = 0; tries < 40; tries++) {
    killGroup(group);
    try {
      for (const each of allGroups(group)) rmdirSync(each);
      return;
    } catch {
      Atomics.wait(moment, 0, 0, 50);
    }
  }
}

/** Ends whatever runs in a control group, and removes it with those below. */
async function removeGroup(group: string): Promise<void> {
  const isEmpty = (): boolean => {
    killGroup(group);
    try {
      return /^populated 0$/m.test(readFileSync(join(group, 'cgroup.events'), 'utf8'));
    } catch {
      return true;
    }
  };
  await until(isEmpty, 10, `the end of ${group}`);
  for (const each of allGroups(group)) rmdirSync(each);
}

async function removeLeftovers(groups: string): Promise<void> {
  const dead = (name: string): boolean =>
    name.startsWith(prefix) && !existsSync(`/proc/${name.slice(prefix.length).split('-')[0]!}`);
  for (const name of readdirSync(groups).filter(dead)) await removeGroup(join(groups, name));
  for (const name of readdirSync(tmpdir()).filter(dead)) rmSync(join(tmpdir(), name), { recursive: true });
}

export class Machine {
  readonly #folder: string;
  readonly #group: string;
  readonly #forget: () => void;
  readonly #started: Running[] = [];
  #process: Running | null = null;
  #pid = 0;

  private constructor(groups: string) {
    this.#folder = makeFolder();
    this.#group = groupOf(groups, this.#folder);
    this.#forget = atProcessEnd(() => {
      removeGroupNow(this.#group);
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  /** @throws Error when systemd does not come up. */
  static async boot(): Promise<Machine> {
    const groups = groupsRoot()!;
    await removeLeftovers(groups);
    const machine = new Machine(groups);
    try {
      await machine.#boot();
    } catch (error) {
      await machine.close();
      throw error;
    }
    return machine;
  }

  async #boot(): Promise<void> {
    mkdirSync(this.#group);
    // The shell joins the group before it makes the namespace whose root that group will be.
    const argv = [
      ...['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', this.#group],
      ...[...unshare, boot, this.#folder, repositoryPath(), process.execPath],
    ];
    const running = new Running(argv, { name: 'systemd' });
    this.#process = running;
    const child = `/proc/${running.pid}/task/${running.pid}/children`;
    const up = (): boolean => {
      if (running.exit !== null) throw new Error(`systemd did not start\n${running.tail()}`);
      this.#pid = existsSync(child) ? Number(readFileSync(child, 'utf8').trim()) : 0;
      if (this.#pid === 0 || readFileSync(`/proc/${this.#pid}/comm`, 'utf8') !== 'systemd\n') return false;
      return /running|degraded/.test(this.tries(['systemctl', 'is-system-running']).text);
    };
    await until(up, 90, () => `systemd\n${running.tail()}`);
    this.run(['hostname', 'swarmgate-test']);
    this.run(['ip', 'link', 'set', 'lo', 'up']);
    this.run(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  }

  #argv(argv: readonly string[]): string[] {
    return [
      'nsenter',
      '-t',
      String(this.#pid),
      '-m',
      '-p',
      '-n',
      '-i',
      '-u',
      '-C',
      '-r',
      '-w',
      '--',
      ...argv,
    ];
  }

  /** Runs a program inside, however it ends. */
  tries(argv: readonly string[], input = ''): Ended {
    const [command, ...words] = this.#argv(argv);
    const env = { PATH: path, HOME: '/root', LC_ALL: 'C', TERM: 'dumb', SYSTEMD_PAGER: '' };
    const options = { encoding: 'utf8', timeout: 120_000 * slowness, env, input, cwd: '/' } as const;
    const { status, stdout, stderr, error } = spawnSync(command!, words, options);
    return { code: status, text: `${stdout}${stderr}${error?.message ?? ''}` };
  }

  /** Runs a program inside to its successful end; gives what it printed. */
  run(argv: readonly string[], input = ''): string {
    const { code, text } = this.tries(argv, input);
    if (code !== 0) throw new Error(`${argv.join(' ')}: exit ${String(code)}\n${text}`);
    return text;
  }

  start(argv: readonly string[]): Running {
    const running = new Running(this.#argv(argv), { name: argv[0]!, cwd: '/', env: { PATH: path } });
    this.#started.push(running);
    return running;
  }

  /** Host N is 10.79.N.2, behind the machine's interface upN. */
  connect(host: number): void {
    const name = `h${host}`;
    const lines = [
      `netns add ${name}`,
      `link add up${host} type veth peer name eth0 netns ${name}`,
      `address add 10.79.${host}.1/24 dev up${host}`,
      `link set up${host} up`,
    ];
    this.run(['ip', '-batch', '-'], lines.join('\n'));
    const inside = [
      `address add 10.79.${host}.2/24 dev eth0`,
      'link set eth0 up',
      `route add default via 10.79.${host}.1`,
    ];
    this.run(['ip', '-n', name, '-batch', '-'], inside.join('\n'));
  }

  write(path: string, text: string): void {
    this.run(['sh', '-c', 'mkdir -p "$(dirname "$0")" && cat > "$0"', path], text);
  }

  /** A property of a unit, as systemd gives it. */
  property(unit: string, name: string): string {
    return this.run(['systemctl', 'show', '--property', name, '--value', unit]).trim();
  }

  /** What the journal holds of a unit, for failure messages too. */
  journal(unit: string): string {
    this.tries(['journalctl', '--sync']);
    return this.tries(['journalctl', '--no-pager', '--output=cat', '--unit', unit]).text;
  }

  /** A line of /proc/PID/status of a process inside, whose number is that inside. */
  statusLine(pid: string, name: string): string {
    const found = new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(this.run(['cat', `/proc/${pid}/status`]));
    if (found === null) throw new Error(`/proc/${pid}/status has no ${name}`);
    return found[1]!;
  }

  async close(): Promise<void> {
    this.#forget();
    killGroup(this.#group);
    for (const running of this.#started) await running.stop('SIGKILL');
    await this.#process?.stop('SIGKILL');
    // The kernel takes a moment to let go of mounts.
    for (let tries = 1; ; tries++) {
      try {
        await removeGroup(this.#group);
        rmSync(this.#folder, { recursive: true, force: true });
        return;
      } catch (error) {
        if (tries >= 20) throw error;
        await sleep(200);
      }
    }
  }
}
