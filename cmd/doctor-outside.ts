/** Where the doctor asks other parts of the program: the firewall's probes and the addon. */
import type { Config } from '../lib/config/config.js';
import type { Finding } from './doctor-machine.js';

/** What the firewall knows about this machine: usable backends, foreign rules, flow offload. */
export type OutsideChecks = (config: Config) => Promise<readonly Finding[]>;

/** In the order in which their findings are shown. */
export const outsideChecks: readonly OutsideChecks[] = [];
