/** What every part of the benchmarks is told. */
import { invariant } from '../lib/invariant.js';
import type { Mix } from './mix.js';

export type Note = (text: string) => void;

/** What all parts are told; plain data, because it goes to another process. */
export interface Context {
  readonly quick: boolean;
  readonly repeat: number;
  /** Samples of small functions. */
  readonly rounds: number;
  /** Null unless a part that was asked for needs it. */
  readonly mix: Mix | null;
  /** The one that tshark reads. */
  readonly smallMix: Mix | null;
  /** The one in which compiling is a small part; null also where there is no room for it. */
  readonly largeMix: Mix | null;
}

export function mixOf({ mix }: Context): Mix {
  invariant(mix !== null, 'a part that needs the mix says so');
  return mix;
}

export function smallMixOf({ smallMix }: Context): Mix {
  invariant(smallMix !== null, 'a part that needs the smaller mix says so');
  return smallMix;
}
