/** What is wrong between settings that are right by themselves. */
import { detectors } from '../../detectors/index.js';
import { automaticWorkers, processorsProblem } from '../numa/workers.js';
import { AllowList } from './allow.js';
import { ringsOf, type Config, type ConfigProblem } from './config.js';
import { ringBytesLowest } from '../limits.js';

interface Place {
  readonly source: string;
  readonly line: number | null;
}

/** Where a setting was given; null if it is at its default. */
type PlaceOf = (path: string) => Place | null;

export interface Contradictions {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

export function findContradictions(config: Config, placeOf: PlaceOf): Contradictions {
  const at = (paths: readonly string[], message: string): ConfigProblem => {
    const path = paths.find((candidate) => placeOf(candidate) !== null) ?? paths[0]!;
    const place = placeOf(path) ?? { source: 'defaults', line: null };
    return { ...place, path, message };
  };
  return {
    problems: [...wrongSums(config, at), ...wrongProcessors(config, at), ...wrongCapture(config, at)],
    warnings: [...pointless(config, at), ...holes(config, at)],
  };
}

type At = (paths: readonly string[], message: string) => ConfigProblem;

const countOf = ({ workers, affinity }: Config): number =>
  workers === 'auto' ? automaticWorkers(affinity.data) : workers;

function wrongSums(config: Config, at: At): ConfigProblem[] {
  const { traffic, queue } = config;
  const problems: ConfigProblem[] = [];
  if (!traffic.forwarded && !traffic.local) {
    const message = 'neither forwarded nor local traffic is inspected; set one of them to true';
    problems.push(at(['traffic.forwarded', 'traffic.local'], message));
  }
  const count = countOf(config);
  if (queue.first + count - 1 > 65_535) {
    const message = `${count} workers need the queues ${queue.first} to ${queue.first + count - 1}, and the last queue is 65535; begin at ${65_536 - count} or lower`;
    problems.push(at(['queue.first', 'workers'], message));
  }
  return problems;
}

/** What belongs to a packet in a capture file beside its bytes: header of the file, header of the record. */
const savedHeaderBytes = 24 + 16;

function wrongCapture(config: Config, at: At): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { snapBytes, ringBytes, save } = config.capture;
  if (save.fileBytes < snapBytes + savedHeaderBytes) {
    const message = `a file of ${save.fileBytes} bytes cannot hold one packet of snap_bytes (${snapBytes}); make it larger`;
    problems.push(at(['capture.save.file_bytes', 'capture.snap_bytes'], message));
  }
  const rings = ringsOf(config.capture) * countOf(config);
  const least = rings * ringBytesLowest(snapBytes);
  if (ringBytes < least) {
    const message = `${rings} rings (one of each interface to each worker) with room for packets of ${snapBytes} bytes need ${least} bytes at least; give them more, or take fewer workers`;
    problems.push(at(['capture.ring_bytes', 'workers', 'capture.snap_bytes'], message));
  }
  return problems;
}

function wrongProcessors({ affinity }: Config, at: At): ConfigProblem[] {
  return (['data', 'control'] as const).flatMap((name) => {
    const processors = affinity[name];
    const problem = processors === null ? null : processorsProblem(processors);
    return problem === null ? [] : [at([`affinity.${name}`], problem)];
  });
}

function pointless(config: Config, at: At): ConfigProblem[] {
  const warnings: ConfigProblem[] = [];
  const { inspectedPackets, inspectedPacketsClear } = config.limits;
  if (inspectedPacketsClear > inspectedPackets) {
    const message = `larger than inspected_packets (${inspectedPackets}), which ends the inspection before it`;
    warnings.push(at(['limits.inspected_packets_clear', 'limits.inspected_packets'], message));
  }
  if (config.detectorsOff.length === detectors.length)
    warnings.push(at(['detectors'], 'every detector is off: nothing will be found'));
  if (config.eve.suspects && config.eve.file === null)
    warnings.push(at(['eve.suspects'], 'needs eve.file: without it no records are written'));
  for (const section of ['traffic', 'capture'] as const) {
    const both = config[section].interfaces.filter((name) => config.allow.interfaces.includes(name));
    if (both.length === 0) continue;
    const message = `${both.join(', ')}: also under ${section}.interfaces; what is allowed is not inspected`;
    warnings.push(at(['allow.interfaces'], message));
  }
  return warnings;
}

function holes({ allow }: Config, at: At): ConfigProblem[] {
  const warnings: ConfigProblem[] = [];
  const list = new AllowList(allow);
  for (const version of [4, 6] as const) {
    if (!list.coversAll(version)) continue;
    const message = `these cover all of IPv${version}: no IPv${version} traffic will be inspected`;
    warnings.push(at(['allow.networks'], message));
  }
  if (list.coversAllPorts)
    warnings.push(at(['allow.ports'], 'these cover all ports: nothing will be inspected'));
  return warnings;
}
