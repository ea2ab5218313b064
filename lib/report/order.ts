/**
 * The last word on the order of two rows whose numbers are equal, so that a report does not hang on the order in which
 * flows happened to end: by code units, as no locale changes them.
 */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
