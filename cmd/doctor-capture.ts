/** What a machine needs for `swarmgate monitor`; asked where the configuration names interfaces to watch. */
import type { Config } from '../lib/config/config.js';
import { failure, fine, type Finding, type Machine } from './doctor-machine.js';

export async function checkCapture(machine: Machine, { capture }: Config): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of capture.interfaces)
    findings.push(...(await checkInterface(machine, name, capture.snapBytes)));
  const { directory } = capture.save;
  if (capture.interfaces.length > 0 && directory !== null) findings.push(checkDirectory(machine, directory));
  return findings;
}

/** IFF_UP, linux/if.h. */
const flagUp = 1;

async function checkInterface(machine: Machine, name: string, snapBytes: number): Promise<Finding[]> {
  const code = 'capture-interface';
  const folder = `/sys/class/net/${name}`;
  if (!machine.exists(folder)) return [failure(code, `${name}, to be watched, is not there`, 'ip link')];
  const flags = Number.parseInt(machine.read(`${folder}/flags`) ?? '', 16);
  if ((flags & flagUp) === 0)
    return [failure(code, `${name}, to be watched, is down`, `ip link set dev ${name} up`)];
  return [fine(code, `${name}, to be watched, is up`), ...(await checkJoining(machine, name, snapBytes))];
}

/** An interface that joins segments is no fault: the first bytes are what is looked at. */
async function checkJoining(machine: Machine, name: string, snapBytes: number): Promise<Finding[]> {
  const features = (await machine.run('ethtool', ['-k', name])) ?? '';
  if (!/^(generic|large)-receive-offload: on/m.test(features)) return [];
  const message = `${name} joins segments (GRO, LRO) into packets of up to 64 KiB; the first ${snapBytes} bytes of each (capture.snap_bytes) are inspected and saved`;
  return [fine('capture-offload', message)];
}

function checkDirectory(machine: Machine, directory: string): Finding {
  const code = 'capture-folder';
  const named = `capture.save.directory: ${directory}`;
  if (!machine.exists(directory))
    return failure(code, `${named} is not there`, `install -d -m 0750 ${directory}`);
  if (!machine.writable(directory))
    return failure(code, `${named} may not be written to`, 'sudo swarmgate doctor');
  return fine(code, `${named} is writable`);
}
