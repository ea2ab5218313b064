/**
 * Witnesses: what the engine itself can say about a flow from its memory of other flows. They speak like detectors, in
 * findings that weigh and are reported, but look at no bytes; their numbers in the evidence follow the detectors'.
 */
import type { Finding } from '../../detectors/detector.js';
import type { Registry } from './registry.js';

/** Whoever may have said an item of evidence. */
export interface Speaker {
  readonly name: string;
  readonly findings: readonly Finding[];
  readonly nearMisses: readonly string[];
}

export const byEndpoint = 0;
export const byHost = 1;
export const bySwarm = 2;

/** Findings of the first two: 0 is the hint, 1 the strong one. */
export const sureFinding = 1;
/** Findings of the third: a strong one, a hint, a strong one of the mode shape, and a strong one. */
export const threeRemotes = 0;
export const sameKey = 1;
export const sameRemote = 2;
export const cutBefore = 3;

export const witnesses: readonly Speaker[] = [
  {
    name: 'endpoint-memory',
    findings: [
      {
        text: 'this address and port were named as a peer to this host or its neighbours',
        kind: 'encrypted',
        confidence: 'hint',
      },
      {
        text: 'this address and port are those of a peer that was proven by another flow',
        kind: 'encrypted',
        confidence: 'strong',
      },
    ],
    nearMisses: [],
  },
  {
    name: 'host-evidence',
    findings: [
      {
        text: 'one of the two hosts was proven to speak BitTorrent within the last minutes',
        kind: 'encrypted',
        confidence: 'hint',
      },
      {
        text: 'one of the two hosts was proven to speak BitTorrent on this very port within the last minutes',
        kind: 'encrypted',
        confidence: 'strong',
      },
    ],
    nearMisses: [],
  },
  {
    name: 'swarm-shape',
    findings: [
      {
        text: 'one of the two hosts had connections of this shape with three different remotes within two minutes, and with fewer any of another shape',
        kind: 'encrypted',
        confidence: 'strong',
      },
      {
        text: 'the same host sent the same public key to another remote',
        kind: 'encrypted',
        confidence: 'hint',
      },
      {
        text: 'the same client had a connection of the whole shape with the same server and port within two minutes',
        kind: 'encrypted',
        confidence: 'strong',
      },
      {
        text: 'within two minutes a connection of the same client with the same server and port was decided, because it dialled three different remotes in this shape',
        kind: 'encrypted',
        confidence: 'strong',
      },
    ],
    nearMisses: [],
  },
];

/** Who said an item: a detector, or a witness behind the last detector. */
export function speakerOf(registry: Registry, id: number): Speaker {
  const { detectors } = registry;
  return id < detectors.length ? detectors[id]! : witnesses[id - detectors.length]!;
}
