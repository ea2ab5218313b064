/** Asks a running swarmgate over its control socket. */
import { connect, type Socket } from 'node:net';
import { checkSocketPath, ControlError, LineSplitter, parseReply, replyBytesMax } from './protocol.js';

export interface AskOptions {
  readonly timeoutMillis?: number;
}

const timeoutMillisDefault = 5000;

/**
 * One request, one answer.
 * @throws ControlError 'not-running', 'control-permission', 'control-timeout', 'control-path', 'control-protocol', or
 *   the code of the error that was answered
 */
export async function ask(
  path: string,
  verb: string,
  args: Readonly<Record<string, unknown>> = {},
  options: AskOptions = {},
): Promise<unknown> {
  checkSocketPath(path);
  const line = await exchange(path, `${JSON.stringify({ ...args, verb })}\n`, options);
  const reply = parseReply(line);
  if (!reply.ok) throw new ControlError(reply.code, reply.message);
  return reply.result;
}

function exchange(path: string, request: string, options: AskOptions): Promise<string> {
  const timeoutMillis = options.timeoutMillis ?? timeoutMillisDefault;
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const fail = (error: ControlError): void => {
      reject(error);
      socket.destroy();
    };
    const timer = setTimeout(() => {
      fail(
        new ControlError(
          'control-timeout',
          `${path}: no answer within ${timeoutMillis / 1000} s; is it stuck?`,
        ),
      );
    }, timeoutMillis);
    socket.on('connect', () => socket.write(request));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      fail(failure(path, error));
    });
    // Every way out ends here; a promise that is settled already does not mind.
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new ControlError('control-protocol', `${path}: the connection was closed without an answer`));
    });
    readLine(socket, path, resolve, fail);
  });
}

function readLine(
  socket: Socket,
  path: string,
  resolve: (line: string) => void,
  fail: (error: ControlError) => void,
): void {
  const splitter = new LineSplitter(replyBytesMax);
  socket.on('data', (bytes) => {
    const lines = splitter.push(bytes);
    if (lines === null) fail(new ControlError('control-protocol', `${path}: the answer is too long`));
    if (lines?.[0] === undefined) return;
    resolve(lines[0]);
    socket.destroy();
  });
}

function failure(path: string, error: NodeJS.ErrnoException): ControlError {
  const { code } = error;
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') {
    return new ControlError(
      'not-running',
      `nothing answers at ${path}: is swarmgate running? Start it with "systemctl start swarmgate" or ` +
        '"swarmgate run", or name another one with --instance or --socket',
    );
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new ControlError('control-permission', `${path}: may only be opened by root; try again with sudo`);
  }
  if (code === 'EAGAIN') {
    return new ControlError('control-timeout', `${path}: does not take connections; is swarmgate stuck?`);
  }
  return new ControlError(
    'control-protocol',
    `${path}: ${error.message}; is it a control socket of swarmgate?`,
  );
}
