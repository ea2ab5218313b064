/** Who takes turns in the queue benchmark, behind which kernel rules, under which loads. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { MarkField, markMaskDefault, markPass } from '../lib/firewall/marks.js';
import { repositoryPath } from '../lib/testing.js';
import { note } from './nfqueue-note.js';

/**
 * What the kernel has around a consumer: nothing, one rule that switches conntrack on, one NFQUEUE rule, our rules, our
 * rules with every connection marked as accepted.
 */
export type Rules = 'none' | 'conntrack' | 'queue' | 'swarmgate' | 'decided' | 'own';

export type Load = 'overload' | 'ordinary' | 'loss' | 'idle' | 'half' | 'tcp';

export interface Consumer {
  readonly name: string;
  /** Started in the router's namespace; null measures the path without a queue. */
  readonly command: string | null;
  readonly args: readonly string[];
  /** 'own': it sets and removes our rules itself. */
  readonly rules: Rules;
  readonly loads: readonly Load[];
  /** How it is asked what it has seen: not at all (then nothing passes it by), by SIGUSR2, over the control socket. */
  readonly counted: 'by-arrival' | 'by-signal' | 'by-status';
}

export const names = {
  none: 'no queue',
  conntrack: 'no queue, conntrack',
  decided: 'our rules, all decided',
  bare: 'C, bare rule',
  same: 'C, same rules',
  repeat: 'C, same, NF_REPEAT',
  short: 'C, same, short queue',
  addon: 'addon, bare rule',
  inspect: 'swarmgate, bare rule',
  swarmgate: 'swarmgate run',
  hold: 'swarmgate, holding',
  peer: 'npm nfqueue',
  peerSame: 'npm nfqueue, same rules',
} as const;

export const queueNumber = 3;
const queue = String(queueNumber);
/** Room for as many small packets as the filter leaves itself under a load that is too much (lib/native/backlog.c). */
const shortBufferBytes = '204800';
const passMark = new MarkField(markMaskDefault).text(markPass);

export function builtPath(name: string): string {
  return repositoryPath('dist', 'bench', 'native', name);
}

const script = (name: string, ...args: string[]): Pick<Consumer, 'command' | 'args'> => ({
  command: process.execPath,
  args: [repositoryPath('dist', 'bench', `${name}.js`), queue, ...args],
});

const accepting = (...args: string[]): Pick<Consumer, 'command' | 'args'> => ({
  command: builtPath('accept-all'),
  args: [queue, ...args],
});

/** `swarmgate run` on the benchmark's queue; `more` are further flags. */
export function swarmgate(instance: string, socket: string, ...more: string[]): Consumer {
  const flags = ['--mode', 'enforce', '--queue', queue, '--instance', instance, '--socket', socket];
  return {
    name: names.swarmgate,
    command: process.execPath,
    args: [repositoryPath('dist', 'program', 'swarmgate.js'), 'run', '--no-live', ...flags, ...more],
    rules: 'own',
    loads: ['overload', 'ordinary', 'loss', 'idle', 'half', 'tcp'],
    counted: 'by-status',
  };
}

/** The name in the tables of `swarmgate run` with several workers. */
export function workersName(workers: number): string {
  return `swarmgate, ${workers} workers`;
}

/** From one worker to two, and one per core beside two per core. */
export function workerCounts(cores: number): number[] {
  return [...new Set([2, cores, 2 * cores])].filter((workers) => workers > 1).sort((a, b) => a - b);
}

/** `swarmgate run` with a number of workers and as many queues, for the loads that tell workers apart. */
export function severalWorkers(instance: string, socket: string, workers: number): Consumer {
  return {
    ...swarmgate(instance, socket, '--workers', String(workers)),
    ...{ name: workersName(workers), loads: ['overload', 'ordinary'] },
  };
}

/** Our addon, every packet accepted, with a number of packets in a batch. */
export function inBatches(packets: number): Consumer {
  return {
    ...{ name: `${packets}`, ...script('nfqueue-accept', String(packets)), rules: 'queue' },
    ...{ counted: 'by-arrival', loads: ['overload', 'idle', 'half'] },
  };
}

/** Everybody that takes turns; `several` are `swarmgate run` with more than one worker. */
export function consumers(inline: Consumer, several: readonly Consumer[] = []): Consumer[] {
  const all: Consumer[] = [
    {
      ...{ name: names.none, command: null, args: [], rules: 'none', counted: 'by-arrival' },
      loads: ['overload', 'idle', 'half', 'tcp'],
    },
    {
      ...{ name: names.conntrack, command: null, args: [], rules: 'conntrack', counted: 'by-arrival' },
      loads: ['overload', 'ordinary', 'idle', 'tcp'],
    },
    {
      ...{ name: names.decided, command: null, args: [], rules: 'decided', counted: 'by-arrival' },
      loads: ['ordinary'],
    },
    {
      ...{ name: names.bare, ...accepting('fail-closed'), rules: 'queue', counted: 'by-arrival' },
      loads: ['overload', 'ordinary', 'idle', 'tcp'],
    },
    {
      ...{ name: names.same, ...accepting('fail-open'), rules: 'swarmgate', counted: 'by-signal' },
      loads: ['overload', 'ordinary', 'loss', 'idle', 'half', 'tcp'],
    },
    {
      ...{ name: names.repeat, ...accepting('fail-open', passMark), rules: 'swarmgate' },
      ...{ counted: 'by-signal', loads: ['overload'] },
    },
    {
      ...{ name: names.short, ...accepting('fail-open', '0', shortBufferBytes), rules: 'swarmgate' },
      ...{ counted: 'by-signal', loads: ['overload'] },
    },
    inline,
    ...several,
    {
      ...{ name: names.hold, ...script('nfqueue-hold'), rules: 'swarmgate', counted: 'by-signal' },
      loads: ['tcp'],
    },
    {
      ...{ name: names.inspect, ...script('nfqueue-inspect'), rules: 'queue', counted: 'by-arrival' },
      loads: ['overload', 'idle'],
    },
    {
      ...{ name: names.addon, ...script('nfqueue-accept'), rules: 'queue', counted: 'by-arrival' },
      loads: ['overload'],
    },
  ];
  if (peerReady()) {
    all.push({
      ...{ name: names.peer, ...script('nfqueue-peer'), rules: 'queue', counted: 'by-arrival' },
      loads: ['overload', 'ordinary', 'idle', 'tcp'],
    });
    all.push({
      ...{ name: names.peerSame, ...script('nfqueue-peer'), rules: 'swarmgate', counted: 'by-arrival' },
      loads: ['overload', 'ordinary'],
    });
  }
  return all;
}

/** The peer compiles itself when it is installed; where that fails, the rest is measured without it. */
function peerReady(): boolean {
  const folder = repositoryPath('bench', 'peers');
  const built = repositoryPath(
    ...['bench', 'peers', 'node_modules', 'nfqueue', 'build', 'Release', 'nfqueue.node'],
  );
  if (existsSync(built)) return true;
  note('installing the npm package nfqueue in bench/peers');
  const { stderr } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 180_000,
  });
  if (existsSync(built)) return true;
  note(`npm nfqueue left out, it does not install here: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  return false;
}
