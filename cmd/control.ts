/** What `status`, `top` and `explain --live` share: which instance is meant, and its errors as those of a user. */
import { ask } from '../lib/control/client.js';
import { ControlError, defaultSocketPath } from '../lib/control/protocol.js';
import { exitIncomplete, exitUsage, UserError } from './errors.js';

export interface ControlArguments {
  instance: string;
  socket: string | undefined;
}

export const controlOptions = {
  instance: {
    describe: 'name of the running instance',
    type: 'string',
    default: 'default',
    requiresArg: true,
  },
  socket: {
    describe: 'its control socket, if it is not at the usual place',
    type: 'string',
    requiresArg: true,
  },
} as const;

/** @throws UserError 'bad-argument' */
export function socketOf({ instance, socket }: ControlArguments): string {
  if (socket !== undefined) return socket;
  if (!/^[a-z0-9][a-z0-9_-]{0,14}$/.test(instance)) {
    throw new UserError(
      'bad-argument',
      `--instance ${instance}: a name has up to 15 lower-case letters, digits, "-" and "_"`,
    );
  }
  return defaultSocketPath(instance);
}

/** Asks the running instance. @throws UserError with the code of the answer */
export async function askInstance(
  options: ControlArguments,
  verb: string,
  args: Readonly<Record<string, unknown>> = {},
): Promise<unknown> {
  try {
    return await ask(socketOf(options), verb, args);
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    throw new UserError(
      error.code,
      error.message,
      error.code === 'control-path' ? exitUsage : exitIncomplete,
    );
  }
}

/** Colour on this terminal? */
export function mayColour(): boolean {
  const { NO_COLOR: no = '', TERM: kind = '' } = process.env;
  return process.stdout.isTTY && no === '' && kind !== 'dumb';
}
