/**
 * Runs nft, iptables and their relatives: no shell, arguments as a list, rules on standard input, a time limit, words
 * in English whatever the locale, and /usr/sbin found whatever the caller's PATH. In a session of their own: Ctrl-Z and
 * Ctrl-C on the daemon's terminal are for the daemon, and no tool is to stand still, or end, with the kernel's lock in hand.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { FirewallError } from './firewall.js';

export interface ToolResult {
  /** Exit status. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Long enough for a rule set of a hundred thousand rules on a slow router. */
const timeoutMillis = 30_000;
const outputLengthMax = 256 * 1024 * 1024;

const searchPath = [
  ...new Set([...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin']),
]
  .filter((folder) => folder !== '')
  .join(':');

export class Tools {
  /** @param prefix words before each command, such as `ip netns exec NAME`; for tests */
  constructor(private readonly prefix: readonly string[] = []) {}

  /**
   * Runs a program to its end, whatever its exit status.
   * @throws FirewallError 'firewall-tool-missing' or, when it does not end, 'firewall-failed'
   */
  run(program: string, words: readonly string[], input = ''): Promise<ToolResult> {
    const [file, ...rest] = [...this.prefix, program, ...words] as [string, ...string[]];
    const env = { PATH: searchPath, LC_ALL: 'C', LANG: 'C' };
    // execFile does not know `detached`.
    const child: ChildProcess = spawn(file, rest, { env, stdio: 'pipe', detached: true });
    // A tool that ends before it read everything says why on its standard error. Without free descriptors there are no pipes.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    return new Running(program, child).end();
  }

  /** As `run`, and anything but exit status 0 is an error. @throws FirewallError */
  async must(program: string, words: readonly string[], input = ''): Promise<string> {
    const result = await this.run(program, words, input);
    if (result.status !== 0) throw toolError(program, result);
    return result.stdout;
  }

  /** What it prints; '' if it is not there or fails: for looking only. */
  async text(program: string, ...words: string[]): Promise<string> {
    const result = await this.run(program, words).catch(() => null);
    return result?.status === 0 ? result.stdout : '';
  }

  /** Whether the program can be started at all. */
  async has(program: string): Promise<boolean> {
    try {
      // Through a prefix a missing program is the prefix's exit status (ip: 255, env: 127).
      const { status } = await this.run(program, ['--version']);
      return status !== 127 && status !== 255;
    } catch {
      return false;
    }
  }
}

/** A tool that runs: what it prints, and its end, which comes at the latest when it takes too long or says too much. */
class Running {
  /** Why it was ended, if it was. */
  #ended: string | null = null;

  constructor(
    private readonly program: string,
    private readonly child: ChildProcess,
  ) {}

  async end(): Promise<ToolResult> {
    const timer = setTimeout(() => {
      this.#kill(`did not end within ${timeoutMillis / 1000} seconds`);
    }, timeoutMillis);
    try {
      const texts = [this.#textOf(this.child.stdout), this.#textOf(this.child.stderr)] as const;
      const [status, signal] = await this.#close();
      if (status !== null) return { status, stdout: texts[0](), stderr: texts[1]() };
      const how = this.#ended ?? `was ended by ${signal ?? 'a signal'}`;
      throw new FirewallError('firewall-failed', `${this.program} ${how}`);
    } finally {
      clearTimeout(timer);
    }
  }

  async #close(): Promise<[number | null, NodeJS.Signals | null]> {
    try {
      return (await once(this.child, 'close')) as [number | null, NodeJS.Signals | null];
    } catch (error) {
      throw notStarted(this.program, error as NodeJS.ErrnoException);
    }
  }

  #kill(why: string): void {
    this.#ended ??= why;
    this.child.kill('SIGKILL');
  }

  #textOf(stream: Readable | null): () => string {
    const parts: string[] = [];
    let length = 0;
    stream?.on('error', () => undefined);
    stream?.setEncoding('utf8').on('data', (part: string) => {
      length += part.length;
      if (length > outputLengthMax) this.#kill('printed more than anybody could read');
      else parts.push(part);
    });
    return () => parts.join('');
  }
}

function notStarted(program: string, { code, message }: NodeJS.ErrnoException): FirewallError {
  return code === 'ENOENT'
    ? new FirewallError(
        'firewall-tool-missing',
        `${program} is not installed; install the package that holds it`,
      )
    : new FirewallError('firewall-failed', `${program}: ${message}`);
}

/** What a tool said, as an error with the code that fits. */
export function toolError(program: string, { status, stderr }: ToolResult): FirewallError {
  const words = oneLine(stderr);
  if (/not permitted|permission denied|must be root/i.test(stderr))
    return new FirewallError(
      'firewall-permission',
      `${program}: ${words}; run as root, or with the capability CAP_NET_ADMIN`,
    );
  return new FirewallError('firewall-failed', `${program} ended with status ${status}: ${words}`);
}

function oneLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '' && !line.startsWith('# Warning'))
    .join(' | ')
    .slice(0, 600);
}
