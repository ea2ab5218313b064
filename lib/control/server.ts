/**
 * Answers requests on a unix socket. Promises: a client can neither crash the daemon nor make it grow, requests of one
 * client are answered in their order, and `close` leaves no file behind that is ours.
 */
import { createServer, type Server, type Socket } from 'node:net';
import {
  ControlError,
  errorReply,
  LineSplitter,
  parseRequest,
  requestBytesMax,
  resultReply,
} from './protocol.js';
import { listenAt, type SocketFile } from './socket-file.js';

export type ControlHandler = (args: Record<string, unknown>) => unknown;
export type ControlHandlers = Readonly<Record<string, ControlHandler>>;

export interface ControlServerOptions {
  /** Clients at once; further ones are told so and turned away. */
  readonly clientsMax?: number;
  /** A client that says nothing for so long is cut off. */
  readonly idleMillis?: number;
  /** A client that does not take its answer in so long is cut off. */
  readonly replyMillis?: number;
  /** Told of defects: a handler threw something without a code. */
  readonly onError?: (verb: string, error: unknown) => void;
}

const defaults: Required<ControlServerOptions> = {
  clientsMax: 32,
  idleMillis: 30_000,
  replyMillis: 10_000,
  onError: () => undefined,
};
/** Requests of one client that may wait while one is answered. */
const waitingMax = 16;

export class ControlServer {
  readonly #server: Server;
  readonly #clients = new Set<Client>();
  #file: SocketFile | null = null;

  private constructor(handlers: ControlHandlers, options: Required<ControlServerOptions>) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      if (this.#clients.size >= options.clientsMax) {
        turnAway(socket);
        return;
      }
      const client = new Client(socket, handlers, options, () => this.#clients.delete(client));
      this.#clients.add(client);
    });
    // Those that are turned away count until their sentence is written.
    this.#server.maxConnections = 2 * options.clientsMax;
  }

  /**
   * @param handlers by verb. What a handler throws becomes an error reply, with the error's `code` if it has one.
   * @throws ControlError 'control-busy', 'control-not-a-socket', 'control-path', 'control-permission', 'control-socket'
   */
  static async listen(
    path: string,
    handlers: ControlHandlers,
    options: ControlServerOptions = {},
  ): Promise<ControlServer> {
    const made = new ControlServer(handlers, { ...defaults, ...options });
    made.#file = await listenAt(made.#server, path);
    // Such as EMFILE on accept: the client sees a closed connection, the daemon goes on.
    made.#server.on('error', (error) => options.onError?.('accept', error));
    return made;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** Cuts all clients off and removes the socket, if it is still ours. */
  async close(): Promise<void> {
    this.#file?.remove();
    this.#file = null;
    for (const client of this.#clients) client.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }
}

function turnAway(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.setTimeout(1000, () => socket.destroy());
  socket.resume();
  socket.end(errorReply('control-crowded', 'too many clients at once; try again in a moment'), () =>
    socket.destroy(),
  );
}

class Client {
  readonly #socket: Socket;
  readonly #handlers: ControlHandlers;
  readonly #options: Required<ControlServerOptions>;
  readonly #lines = new LineSplitter(requestBytesMax);
  readonly #waiting: string[] = [];
  #busy = false;
  #ended = false;

  constructor(
    socket: Socket,
    handlers: ControlHandlers,
    options: Required<ControlServerOptions>,
    onClose: () => void,
  ) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#options = options;
    socket.setTimeout(options.idleMillis, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', onClose);
    socket.on('end', () => {
      this.#ended = true;
      this.#next();
    });
    socket.on('data', (bytes) => {
      this.#read(bytes);
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(bytes: Uint8Array): void {
    const lines = this.#lines.push(bytes);
    if (lines === null || this.#waiting.length + lines.length > waitingMax) {
      this.#refuse(lines === null ? 'request-too-long' : 'too-many-requests');
      return;
    }
    this.#waiting.push(...lines.filter((line) => line.trim() !== ''));
    this.#next();
  }

  /** The last word to a client that does not keep to the rules. */
  #refuse(code: string): void {
    this.#waiting.length = 0;
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
    this.#ended = true;
    void this.#send(
      errorReply(code, `a request has ${requestBytesMax} bytes at the most, ${waitingMax} at once`),
    );
    this.#socket.destroySoon();
  }

  #next(): void {
    if (this.#busy || this.#socket.destroyed) return;
    const line = this.#waiting.shift();
    if (line === undefined) {
      if (this.#ended) this.#socket.end(() => this.#socket.destroy());
      return;
    }
    this.#busy = true;
    // What the client sends meanwhile stays in the kernel's buffer.
    this.#socket.pause();
    void this.#answer(line).then(() => {
      this.#busy = false;
      if (this.#socket.destroyed) return;
      this.#socket.resume();
      this.#next();
    });
  }

  async #answer(line: string): Promise<void> {
    await this.#send(await this.#replyTo(line));
  }

  async #replyTo(line: string): Promise<string> {
    let verb = '';
    try {
      const request = parseRequest(line);
      verb = request.verb;
      const handler = Object.hasOwn(this.#handlers, verb) ? this.#handlers[verb] : undefined;
      if (handler === undefined) {
        const known = Object.keys(this.#handlers).join(', ');
        throw new ControlError('unknown-verb', `${verb}: no such verb; there are ${known}`);
      }
      return resultReply(await handler(request.args));
    } catch (error) {
      return this.#errorOf(verb, error);
    }
  }

  #errorOf(verb: string, error: unknown): string {
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
    const text = typeof message === 'string' ? message : String(error);
    if (typeof code === 'string') return errorReply(code, text);
    this.#options.onError(verb, error);
    return errorReply('internal', text);
  }

  /** Ends when the client has taken all of it; cuts it off when that takes too long. */
  #send(text: string): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#socket.destroy(), this.#options.replyMillis);
      const done = (): void => {
        clearTimeout(timer);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('close', done);
      this.#socket.write(text, done);
    });
  }
}
