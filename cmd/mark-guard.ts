/**
 * Rules of others and our bits in marks: says what breaks, and where others copy whole connection marks to packets has our
 * bits taken off these before they are routed. That must hold in monitor mode too, which is to change nothing.
 */
import type { Finding } from '../lib/firewall/conflicts.js';

/** Warnings of one look; the doctor tells all. */
const toldMax = 3;

export interface MarkGuardOptions {
  /** Findings 'mark-restored', 'mark-restored-late', 'mark-compared' and 'own-rerouted'. */
  readonly conflicts: () => Promise<readonly Finding[]>;
  /** Has our bits taken off packets; does nothing where that is done already. */
  readonly unmark: () => Promise<void>;
  /** What stands in the kernel because of it, for people. */
  readonly place: string;
  readonly onFinding: (code: string, message: string) => void;
}

export class MarkGuard {
  readonly #told = new Set<string>();

  constructor(private readonly options: MarkGuardOptions) {}

  /** One look. Never throws: what cannot be listed is told by others. */
  async look(): Promise<void> {
    try {
      const found = await this.options.conflicts();
      const restored = found.filter(({ code }) => code === 'mark-restored');
      const why = restored.length === 0 ? null : await this.#unmark();
      this.#tell(
        found.filter((finding) => why !== null || !restored.includes(finding)),
        why,
      );
      if (restored.length > 0 && why === null) this.#tellOfUnmarking();
    } catch {
      // The next look may be luckier.
    }
  }

  /** Null, or why it could not be done. */
  async #unmark(): Promise<string | null> {
    try {
      await this.options.unmark();
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #tellOfUnmarking(): void {
    if (this.#told.has('unmark')) return;
    this.#told.add('unmark');
    this.options.onFinding(
      'mark-unmarked',
      `another program copies connection marks to packets: our bits are taken off before routing, by ${this.options.place}`,
    );
  }

  #tell(findings: readonly Finding[], why: string | null): void {
    const fresh = findings.filter(({ message }) => !this.#told.has(message));
    for (const { message } of fresh) this.#told.add(message);
    for (const { code, message } of fresh.slice(0, toldMax)) {
      const reason = code === 'mark-restored' && why !== null ? ` (nft could not take them off: ${why})` : '';
      this.options.onFinding(code, message + reason);
    }
    if (fresh.length > toldMax)
      this.options.onFinding('mark-conflicts', `${fresh.length - toldMax} more such rules: swarmgate doctor`);
  }
}
