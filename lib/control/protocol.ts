/**
 * The control protocol: one JSON object per line in each direction over a unix socket.
 *
 *     -> {"verb":"status"}
 *     <- {"ok":true,"result":{...}}   or   {"ok":false,"code":"...","message":"..."}
 *
 * Whoever may open the socket may ask anything; the file's mode (0600) is the whole access check.
 */

export const requestBytesMax = 64 * 1024;
/** A status with all its decisions is under 1 MiB. */
export const replyBytesMax = 64 * 1024 * 1024;
/** `sun_path` of unix(7) holds 108 bytes with the final zero. */
export const socketPathBytesMax = 107;

/** A stable code and a sentence that says what to do. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface ControlRequest {
  readonly verb: string;
  readonly args: Record<string, unknown>;
}

export type ControlReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** Where the socket of an instance is when nobody says otherwise. */
export function defaultSocketPath(instance: string): string {
  return `/run/swarmgate/${instance}.sock`;
}

/** @throws ControlError 'control-path' if the kernel cannot take this path */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (path === '' || path.includes('\0')) {
    throw new ControlError('control-path', 'the path of the control socket is empty or holds a zero byte');
  }
  if (bytes > socketPathBytesMax) {
    throw new ControlError(
      'control-path',
      `${path}: a socket's path may have ${socketPathBytesMax} bytes and this one has ${bytes}; choose a shorter one`,
    );
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One line of a client. @throws ControlError 'bad-request' */
export function parseRequest(line: string): ControlRequest {
  const value = parseJson(line);
  if (!isRecord(value)) throw new ControlError('bad-request', 'a request is one JSON object on one line');
  const { verb, ...args } = value;
  if (typeof verb !== 'string' || !/^[a-z][a-z0-9-]{0,31}$/.test(verb)) {
    throw new ControlError('bad-request', 'a request names its verb, such as {"verb":"status"}');
  }
  return { verb, args };
}

/** One line of a server. @throws ControlError 'control-protocol' */
export function parseReply(line: string): ControlReply {
  const value = parseJson(line);
  if (isRecord(value)) {
    const { ok, code, message } = value;
    if (ok === true) return { ok, result: value['result'] ?? null };
    if (ok === false && typeof code === 'string' && typeof message === 'string') return { ok, code, message };
  }
  throw new ControlError('control-protocol', 'the answer is not one of swarmgate; is it another program?');
}

/** Undefined for what is no JSON. */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

export function errorReply(code: string, message: string): string {
  return `${JSON.stringify({ ok: false, code, message })}\n`;
}

/** The reply as a line; what cannot be written as JSON becomes an error reply. */
export function resultReply(result: unknown): string {
  try {
    return `${JSON.stringify({ ok: true, result: result ?? null })}\n`;
  } catch (error) {
    return errorReply('internal', `the result cannot be written: ${(error as Error).message}`);
  }
}

/** Cuts a stream of bytes into lines, none longer than `max`. */
export class LineSplitter {
  readonly #max: number;
  #parts: Uint8Array[] = [];
  #held = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * The lines that these bytes complete, without their ends.
   * @returns null if a line is too long; the splitter is of no use then
   */
  push(bytes: Uint8Array): string[] | null {
    const lines: string[] = [];
    let start = 0;
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
      this.#hold(bytes.subarray(start, end));
      if (this.#held > this.#max) return null;
      lines.push(Buffer.concat(this.#parts).toString('utf8'));
      this.#parts = [];
      this.#held = 0;
      start = end + 1;
    }
    this.#hold(bytes.subarray(start));
    return this.#held > this.#max ? null : lines;
  }

  /** True if a line has begun and not ended. */
  get pending(): boolean {
    return this.#held > 0;
  }

  #hold(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#parts.push(bytes);
    this.#held += bytes.length;
  }
}
