/** Versions of the tools that are measured beside us, or with which is measured. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { repositoryPath } from '../lib/testing.js';
import { isInstalled, versionOf } from './program.js';

const tools: readonly (readonly [tool: string, argument: string])[] = [
  ['ndpiReader', '--help'],
  ['tshark', '--version'],
  ['tcpdump', '--version'],
  ['cc', '--version'],
  ['iptables', '--version'],
  ['iperf3', '--version'],
];

const absent = 'not installed';

export function peerVersions(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [tool, argument] of tools)
    found[tool] = (isInstalled(tool) ? versionOf(tool, argument) : null) ?? absent;
  found['npm pcap-parser'] = packageVersion('node_modules', 'pcap-parser');
  found['npm nfqueue'] = packageVersion('bench', 'peers', 'node_modules', 'nfqueue');
  found['npm cap'] = packageVersion('node_modules', 'cap');
  found['go'] = goVersion();
  return found;
}

function packageVersion(...folder: string[]): string {
  const file = repositoryPath(...folder, 'package.json');
  if (!existsSync(file)) return absent;
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function goVersion(): string {
  const { error, stdout } = spawnSync('go', ['version'], { encoding: 'utf8' });
  return error === undefined ? stdout.trim() : absent;
}
