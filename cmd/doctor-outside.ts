/** Where the doctor asks other parts of the program: the firewall's probes and the addon. */
import type { Config } from '../lib/config/config.js';
import { probeFirewall } from '../lib/firewall/probe.js';
import { nativeProblem } from '../lib/native/index.js';
import { chooseSource } from './capture.js';
import { failure, fine, type Finding } from './doctor-machine.js';
import { ruleSetOf } from './filter-plan.js';

/** What the firewall knows about this machine: usable backends, foreign rules, flow offload. */
export type OutsideChecks = (config: Config) => Promise<readonly Finding[]>;

const addon: OutsideChecks = () => {
  const problem = nativeProblem();
  return Promise.resolve([
    problem === null
      ? { code: 'addon', level: 'ok', message: 'the NFQUEUE addon is built and loads', mend: null }
      : { code: 'addon', level: 'error', message: problem, mend: 'sudo deploy/build-native --force' },
  ]);
};

/** Of `swarmgate monitor`, where the configuration names interfaces to watch. */
const captureSource: OutsideChecks = ({ capture }) => {
  if (capture.interfaces.length === 0) return Promise.resolve([]);
  try {
    return Promise.resolve([
      fine('capture-source', `packets are captured with ${chooseSource(capture.source)}`),
    ]);
  } catch (error) {
    return Promise.resolve([failure('capture-source', (error as Error).message, null)]);
  }
};

const firewall: OutsideChecks = (config) => probeFirewall(ruleSetOf(config));

/** In the order in which their findings are shown. */
export const outsideChecks: readonly OutsideChecks[] = [addon, captureSource, firewall];
