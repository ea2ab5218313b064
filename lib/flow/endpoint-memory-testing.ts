/** Test support: memories, and addresses as the memory takes them. */
import { EndpointMemory } from './endpoint-memory.js';

export const start = 1_790_000_400;
export type Address = readonly [number, number, number, number, number];

/** `new EndpointMemory` with its own memory; two of them with one memory are two workers. */
export function memoryOf(capacity: number, seed = 77): EndpointMemory {
  return new EndpointMemory(new SharedArrayBuffer(EndpointMemory.byteLength(capacity)), seed);
}

export function v4(text: string): Address {
  const [a, b, c, d] = text.split('.').map(Number);
  return [4, (a! << 24) | (b! << 16) | (c! << 8) | d! | 0, 0, 0, 0];
}

export const v6 = (...words: number[]): Address => [
  6,
  words[0]! | 0,
  (words[1] ?? 0) | 0,
  (words[2] ?? 0) | 0,
  (words[3] ?? 0) | 0,
];

/** A made-up public address for a number below 2^22. */
export const publicAddress = (i: number): Address => [4, (0x2e000000 + i) | 0, 0, 0, 0];
export const speaker = (memory: EndpointMemory, text: string): number => {
  const [version, word0, word1] = v4(text);
  return memory.speakerOf(version, word0, word1);
};
