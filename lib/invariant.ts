/** Programmer errors fail loudly: kernel bypass and the supervisor keep the traffic flowing (STYLE: three kinds of error). */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Asserts what only a defect in Swarmgate can break; never used on bytes from the wire or on configuration.
 * @throws InvariantError
 */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${what}`);
}
