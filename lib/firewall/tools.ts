/**
 * Runs nft, iptables and their relatives: no shell, arguments as a list, rules on standard input, a time limit, words
 * in English whatever the locale, and /usr/sbin found whatever the caller's PATH.
 */
import { execFile } from 'node:child_process';
import { FirewallError } from './firewall.js';

export interface ToolResult {
  /** Exit status. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Long enough for a rule set of a hundred thousand rules on a slow router. */
const timeoutMillis = 30_000;
const outputBytesMax = 256 * 1024 * 1024;

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
    return new Promise((resolve, reject) => {
      const child = execFile(file, rest, options(), (error, stdout, stderr) => {
        const status = error === null ? 0 : error.code;
        if (typeof status === 'number') resolve({ status, stdout, stderr });
        else reject(failure(program, error));
      });
      // A tool that ends before it read everything says why on its standard error.
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(input);
    });
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

function options(): {
  encoding: 'utf8';
  timeout: number;
  killSignal: 'SIGKILL';
  maxBuffer: number;
  env: NodeJS.ProcessEnv;
} {
  const env = { PATH: searchPath, LC_ALL: 'C', LANG: 'C' };
  return { encoding: 'utf8', timeout: timeoutMillis, killSignal: 'SIGKILL', maxBuffer: outputBytesMax, env };
}

function failure(
  program: string,
  error: (Error & { code?: unknown; killed?: boolean }) | null,
): FirewallError {
  if (error?.code === 'ENOENT')
    return new FirewallError(
      'firewall-tool-missing',
      `${program} is not installed; install the package that holds it`,
    );
  if (error?.killed === true)
    return new FirewallError(
      'firewall-failed',
      `${program} did not end within ${timeoutMillis / 1000} seconds`,
    );
  return new FirewallError('firewall-failed', `${program}: ${error?.message ?? 'failed'}`);
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
