/** Errors that a user can mend: a stable code, a sentence that says what to do, and the exit status. */

/** Exit statuses, documented in README and `--help`. */
export const exitOk = 0;
/** Something could not be read to its end; the report holds what could. */
export const exitIncomplete = 1;
/** Wrong arguments. */
export const exitUsage = 2;
/** --exit-code was given and BitTorrent was found. */
export const exitFound = 10;
/** A defect of this program (EX_SOFTWARE of sysexits.h). */
export const exitInternal = 70;
/** Not permitted: needs root or CAP_NET_ADMIN (EX_NOPERM). */
export const exitPermission = 77;
/** The configuration is wrong (EX_CONFIG). */
export const exitConfig = 78;
/** The kernel or another program does not let us: a missing module, a queue or socket in use (EX_UNAVAILABLE). */
export const exitUnavailable = 69;

export class UserError extends Error {
  override readonly name = 'UserError';
  constructor(
    readonly code: string,
    message: string,
    readonly exitCode: number = exitUsage,
  ) {
    super(message);
  }
}
