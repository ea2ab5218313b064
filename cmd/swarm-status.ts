/** What the control plane reads from the memory that the workers share: for status, metrics and explanations. */
import { kinds } from '../detectors/detector.js';
import { EndpointMemory } from '../lib/flow/endpoint-memory.js';
import { HostEvidence, type HostDescription } from '../lib/flow/host-evidence.js';
import type { EndMemory, ProofReport } from '../lib/report/explain-live.js';
import type { SwarmReport } from '../lib/report/status.js';
import { parseAddress } from '../lib/wire/address.js';
import type { SwarmMemory } from './swarm-memory.js';

/** To count what is remembered, all of it is read (some milliseconds): not more often than this. */
const keptMillis = 1000;

const gradeWords = ['unknown', 'named', 'trusted'] as const;

export class SwarmReader {
  readonly #endpoints: EndpointMemory;
  readonly #hosts: HostEvidence;
  #readAt = -Infinity;
  #used = { endpoints: 0, hosts: 0 };

  constructor({ endpoints, hosts, seed }: SwarmMemory) {
    this.#endpoints = new EndpointMemory(endpoints, seed);
    this.#hosts = new HostEvidence(hosts, seed);
  }

  /** @param millis a clock that only grows; @param seconds since 1970 */
  report(millis = performance.now(), seconds = Date.now() / 1000): SwarmReport {
    const endpoints = this.#endpoints;
    const hosts = this.#hosts;
    if (millis - this.#readAt >= keptMillis) {
      this.#readAt = millis;
      this.#used = { endpoints: endpoints.used(seconds), hosts: hosts.used(seconds) };
    }
    return {
      endpoints: this.#used.endpoints,
      endpoints_max: endpoints.capacity,
      learned: endpoints.learned,
      refused: {
        speaker: endpoints.refusedSpeaker,
        listener: endpoints.refusedListener,
        full: endpoints.refusedFull,
      },
      evicted: endpoints.evicted,
      hosts: this.#used.hosts,
      hosts_max: hosts.capacity,
      hosts_evicted: hosts.evicted,
      bytes: endpoints.byteLength + hosts.byteLength,
    };
  }

  /** What is remembered of one end of a flow, for the other end `asker`; null if this is no address. */
  about(address: string, port: number, asker: string, seconds = Date.now() / 1000): EndMemory | null {
    const parsed = parseAddress(address);
    if (parsed === null) return null;
    const version = parsed.length === 1 ? 4 : 6;
    const [word0, word1 = 0, word2 = 0, word3 = 0] = parsed as readonly number[] as [number, ...number[]];
    const words = [word0, word1, word2, word3] as const;
    const host = this.#hosts.describe(version, [...words], 0, seconds);
    const here = port === 0 ? null : this.#hosts.describe(version, [...words], port, seconds);
    return {
      address,
      port,
      endpoint: gradeWords[this.#endpoints.grade(version, ...words, port, this.#networkOf(asker), seconds)],
      host: proofReport(host),
      host_port: proofReport(here),
    };
  }

  #networkOf(address: string): number {
    const [word0 = 0, word1 = 0] = parseAddress(address) ?? [];
    return this.#endpoints.speakerOf(address.includes(':') ? 6 : 4, word0, word1);
  }
}

function proofReport(found: HostDescription | null): ProofReport | null {
  if (found === null) return null;
  return {
    kinds: kinds.filter((_, kind) => (found.kinds & (1 << kind)) !== 0),
    partners: found.partners,
    age_seconds: found.ageSeconds,
  };
}
