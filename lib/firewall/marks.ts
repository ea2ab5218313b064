/**
 * The mark: a few bits of a packet's mark, and of its connection's, by which user space tells the kernel's rules what
 * to do with a flow. All other bits belong to other software and are never changed.
 */

/** The values of the field. 0 is "not decided": such packets go to the queue. */
export const markUndecided = 0;
/** On a packet only, never saved: this packet was seen and may go on, its flow is still being inspected. */
export const markPass = 1;
/** The flow is not to be looked at any more. */
export const markAccept = 2;
/** The bit that blocked flows have in common, and no others: the rules ask for it first. */
export const markBlocked = 4;
/** The flow is BitTorrent: reset it (TCP) or say port unreachable. In monitor mode the rules let it pass. */
export const markReject = 4;
/** The flow is BitTorrent: drop it. In monitor mode the rules let it pass. */
export const markDrop = 5;
/** Largest value in use: the mask must have at least as many neighbouring bits set as it needs (three). */
export const markHighest = 5;

export type MarkValue = 0 | 1 | 2 | 4 | 5;

/** Bits 28 to 30: clear of the marks that Tailscale, Docker, kube-proxy, mwan3, Cilium and WireGuard use by default. */
export const markMaskDefault = 0x7000_0000;

export class MarkField {
  /** Unsigned 32-bit. */
  readonly mask: number;
  readonly shift: number;

  /** @param mask three or more neighbouring bits of 32; anything else throws RangeError */
  constructor(mask: number) {
    this.mask = mask >>> 0;
    this.shift = this.mask === 0 ? 0 : 31 - Math.clz32(this.mask & -this.mask);
    const width = this.mask >>> this.shift;
    if (width !== mask / 2 ** this.shift || (width & (width + 1)) !== 0 || width < 7)
      throw new RangeError('a mark mask is three or more neighbouring bits');
  }

  /** The field's value in a mark. */
  read(mark: number): number {
    return (mark & this.mask) >>> this.shift;
  }

  /** `mark` with the field replaced, unsigned. */
  write(mark: number, value: MarkValue): number {
    return ((mark & ~this.mask) | (value << this.shift)) >>> 0;
  }

  /** "0x40000000", as the rules need it. */
  text(value: MarkValue): string {
    return `0x${((value << this.shift) >>> 0).toString(16)}`;
  }

  get maskText(): string {
    return `0x${this.mask.toString(16)}`;
  }

  /** All other bits. */
  get othersText(): string {
    return `0x${(~this.mask >>> 0).toString(16)}`;
  }
}
