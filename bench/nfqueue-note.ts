/** What the queue benchmark says while it runs; its result goes to standard output. */
export function note(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}
