/** What both live sources say about an interface that cannot be watched. */
import { interfaceIndex, interfaceIndexes } from './interfaces.js';
import { LiveSourceError } from './live-source.js';

export function interfaceMissing(name: string): LiveSourceError {
  const known = [...interfaceIndexes().keys()].sort().join(', ');
  const choice = known === '' ? '' : ` (there are ${known})`;
  return new LiveSourceError(
    'interface-missing',
    `there is no interface ${JSON.stringify(name)}: choose one of \`ip link\`${choice}`,
  );
}

export function interfaceDown(name: string): LiveSourceError {
  return new LiveSourceError(
    'interface-down',
    `${name} is down: bring it up with \`ip link set dev ${name} up\``,
  );
}

/** Down, or removed, after it had been opened: where only /sys tells which. */
export function interfaceGone(name: string, index: number): LiveSourceError {
  return interfaceIndex(name) === index ? interfaceDown(name) : interfaceRemoved(name);
}

export function interfaceRemoved(name: string): LiveSourceError {
  return new LiveSourceError(
    'interface-missing',
    `${name} was removed while it was watched: create it again, then watch it anew`,
  );
}

export function interfaceRenamed(name: string, now: string): LiveSourceError {
  return new LiveSourceError(
    'interface-missing',
    `${name} is called ${now} now: name that one, or bring ${name} back`,
  );
}

export function permissionMissing(name: string): LiveSourceError {
  return new LiveSourceError(
    'capture-permission',
    `not permitted to capture on ${name}: run as root, or with CAP_NET_RAW (AmbientCapabilities=CAP_NET_RAW in a systemd unit)`,
  );
}

export function unsupportedLink(name: string, what: string): LiveSourceError {
  return new LiveSourceError(
    'link-type',
    `${name} is neither Ethernet nor an IP tunnel (${what}): watch the interface that carries its packets`,
  );
}

/** Neither a file nor a socket can be opened any more. */
export function descriptorsMissing(name: string, errno: string): LiveSourceError {
  return new LiveSourceError(
    'capture-failed',
    `no descriptor is left to watch ${name} with (${errno}): raise the limit (\`ulimit -n\`, LimitNOFILE= in a systemd unit)`,
  );
}
