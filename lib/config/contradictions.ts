/** What is wrong between settings that are right by themselves. */
import { detectors } from '../../detectors/index.js';
import { automaticWorkers, processorsProblem } from '../numa/workers.js';
import { AllowList } from './allow.js';
import type { Config, ConfigProblem } from './config.js';

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
    problems: [...wrongSums(config, at), ...wrongProcessors(config, at)],
    warnings: [...pointless(config, at), ...holes(config, at)],
  };
}

type At = (paths: readonly string[], message: string) => ConfigProblem;

function wrongSums({ traffic, queue, workers, affinity }: Config, at: At): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (!traffic.forwarded && !traffic.local) {
    const message = 'neither forwarded nor local traffic is inspected; set one of them to true';
    problems.push(at(['traffic.forwarded', 'traffic.local'], message));
  }
  const count = workers === 'auto' ? automaticWorkers(affinity.data) : workers;
  if (queue.first + count - 1 > 65_535) {
    const message = `${count} workers need the queues ${queue.first} to ${queue.first + count - 1}, and the last queue is 65535; begin at ${65_536 - count} or lower`;
    problems.push(at(['queue.first', 'workers'], message));
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
  const both = config.traffic.interfaces.filter((name) => config.allow.interfaces.includes(name));
  if (both.length > 0) {
    const message = `${both.join(', ')}: also under traffic.interfaces; what is allowed is not inspected`;
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
