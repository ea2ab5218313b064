/** What the end-to-end tests need of this machine. Where something is missing they are skipped and say why. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { repositoryPath } from '../lib/testing.js';

const programs = [
  'ip',
  'iptables',
  'ip6tables',
  'iptables-save',
  'ip6tables-save',
  'ping',
  'curl',
  'conntrack',
];
const clients = ['transmission-cli', 'aria2c'];
const benign = [
  'nginx',
  'openssl',
  'ssh',
  'scp',
  'ssh-keygen',
  'dnsmasq',
  'dig',
  'iperf3',
  'openvpn',
  'wg',
  'wireguard-go',
];

export function hasProgram(name: string): boolean {
  const folders = `/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`.split(delimiter);
  return folders.some((folder) => existsSync(join(folder, name)));
}

function hasLibtorrent(): boolean {
  return spawnSync('/usr/bin/python3', ['-c', 'import libtorrent'], { stdio: 'ignore' }).status === 0;
}

function canMakeNamespaces(): boolean {
  const name = `sge2e-${process.pid}-try`;
  if (spawnSync('ip', ['netns', 'add', name], { stdio: 'ignore' }).status !== 0) return false;
  execFileSync('ip', ['netns', 'del', name]);
  return true;
}

function hasQueue(): boolean {
  const name = `sge2e-${process.pid}-queue`;
  execFileSync('ip', ['netns', 'add', name]);
  const rule = ['-t', 'mangle', '-A', 'FORWARD', '-j', 'NFQUEUE', '--queue-num', '1', '--queue-bypass'];
  const made =
    spawnSync('ip', ['netns', 'exec', name, 'iptables', ...rule], { stdio: 'ignore' }).status === 0;
  execFileSync('ip', ['netns', 'del', name]);
  return made;
}

/** The reason why the lab cannot be used here, or false. */
function missingForLab(): string | false {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root: it makes network namespaces';
  const missing = [...programs, ...clients, ...benign].filter((name) => !hasProgram(name));
  if (missing.length > 0) return `not installed: ${missing.join(', ')} (make packages)`;
  if (!hasLibtorrent()) return 'not installed: python3-libtorrent (make packages)';
  return canMakeNamespaces() ? false : 'this machine permits no network namespaces';
}

/** The reason why the filter cannot be run here, or false. */
function missingForFilter(): string | false {
  if (withoutLab !== false) return withoutLab;
  if (!existsSync(repositoryPath('cmd', 'run.ts'))) return 'this version has no command `run` yet';
  if (!hasQueue()) return 'this kernel has no NFQUEUE for iptables';
  return false;
}

export const withoutLab = missingForLab();
export const withoutFilter = missingForFilter();
