/** Lists of processors as the kernel writes and reads them (linux: Documentation/admin-guide/cputopology.rst). */

/** Highest number of a processor or node that is believed: NR_CPUS of the largest kernels is 8192. */
export const processorHighest = 8191;

/** "0-3,8" as numbers in rising order, each once; the empty text is the empty list. Null if it is no such list. */
export function parseCpuList(text: string): number[] | null {
  const found = new Set<number>();
  const trimmed = text.trim();
  if (trimmed === '') return [];
  for (const part of trimmed.split(',')) {
    // "0-15:2/4" takes 2 of every 4; the kernel reads such lists and never writes them.
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim());
    if (match === null) return null;
    const first = Number(match[1]);
    const last = Number(match[2] ?? first);
    if (first > last || last > processorHighest) return null;
    for (let processor = first; processor <= last; processor++) found.add(processor);
  }
  return [...found].sort((a, b) => a - b);
}

/** The shortest list: "0-3,8". */
export function cpuListText(processors: readonly number[]): string {
  const sorted = [...new Set(processors)].sort((a, b) => a - b);
  const ranges: { first: number; last: number }[] = [];
  for (const processor of sorted) {
    const range = ranges.at(-1);
    if (range !== undefined && processor === range.last + 1) range.last = processor;
    else ranges.push({ first: processor, last: processor });
  }
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** The mask that rps_cpus and xps_cpus take: groups of 32 bits in hexadecimal, highest first. */
export function cpuMaskText(processors: readonly number[]): string {
  const words = Array.from({ length: (Math.max(0, ...processors) >>> 5) + 1 }, () => 0);
  for (const processor of processors) words[processor >>> 5]! |= 1 << (processor & 31);
  const [highest, ...rest] = words.reverse().map((word) => (word >>> 0).toString(16));
  return [highest!, ...rest.map((word) => word.padStart(8, '0'))].join(',');
}
