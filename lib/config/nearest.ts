/** The known word that somebody most likely meant. */

/** Changes of one letter (add, remove, replace, swap neighbours) that lead from `a` to `b`. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, before[j - 2]! + 1);
      next.push(best);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/** Longer words are not compared: the table would grow with the square of what a stranger wrote. */
const wordLengthMax = 64;

/** The nearest of `known`, or null if none is near enough to be worth a guess. */
export function nearest(
  word: string,
  known: readonly string[],
  most = Math.ceil(word.length / 3),
): string | null {
  if (word.length > wordLengthMax) return null;
  const plain = word.toLowerCase().replaceAll('-', '_');
  let best: string | null = null;
  let bestDistance = most + 1;
  for (const candidate of known) {
    const changes = distance(plain, candidate.toLowerCase().replaceAll('-', '_'));
    if (changes < bestDistance) {
      best = candidate;
      bestDistance = changes;
    }
  }
  return best;
}

/** "; did you mean X?" or nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  return guess === null ? '' : `; did you mean ${guess}?`;
}
