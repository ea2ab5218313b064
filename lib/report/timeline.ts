/**
 * Bytes over time in a fixed number of buckets, although nobody knows at the start which time a capture spans: when
 * a flow lies outside, buckets are merged in pairs until it fits. Memory stays the same for an hour and for a year.
 *
 *     width 1 s:  |a|b|c|d|e|f|      a flow at second 9 arrives
 *     width 2 s:  |ab |cd |ef |  |9|
 */

/** Buckets of a timeline; also the most bars that a chart of 1000 units can show apart. */
export const bucketsMax = 200;
const narrowestMicros = 1000;

export interface Bucket {
  readonly startMicros: number;
  readonly bittorrent: number;
  readonly other: number;
}

export class Timeline {
  #widthMicros = narrowestMicros;
  /** Number of the first bucket: its start divided by the width. */
  #base = 0;
  /** Buckets in use, from the base; 0 before the first flow. */
  #used = 0;
  #bittorrent = new Float64Array(bucketsMax);
  #other = new Float64Array(bucketsMax);

  get widthMicros(): number {
    return this.#widthMicros;
  }

  /** Spreads the bytes of a flow evenly over its life: packet times are not kept per flow. */
  add(firstMicros: number, lastMicros: number, bytes: number, isBitTorrent: boolean): void {
    if (!Number.isFinite(firstMicros) || !Number.isFinite(lastMicros)) return;
    const last = Math.max(firstMicros, lastMicros);
    this.#cover(firstMicros, last);
    const from = Math.floor(firstMicros / this.#widthMicros) - this.#base;
    const to = Math.floor(last / this.#widthMicros) - this.#base;
    const series = isBitTorrent ? this.#bittorrent : this.#other;
    const share = bytes / (to - from + 1);
    for (let i = from; i <= to; i++) series[i]! += share;
  }

  /** The buckets in use, oldest first. */
  list(): Bucket[] {
    return Array.from({ length: this.#used }, (_, i) => ({
      startMicros: (this.#base + i) * this.#widthMicros,
      bittorrent: this.#bittorrent[i]!,
      other: this.#other[i]!,
    }));
  }

  #cover(first: number, last: number): void {
    for (;;) {
      const from = Math.floor(first / this.#widthMicros);
      const to = Math.floor(last / this.#widthMicros);
      const base = this.#used === 0 ? from : Math.min(from, this.#base);
      const end = this.#used === 0 ? to : Math.max(to, this.#base + this.#used - 1);
      if (end - base < bucketsMax) {
        this.#bittorrent = this.#moved(this.#bittorrent, base, 1);
        this.#other = this.#moved(this.#other, base, 1);
        this.#base = base;
        this.#used = end - base + 1;
        return;
      }
      this.#widen();
    }
  }

  #widen(): void {
    const base = Math.floor(this.#base / 2);
    if (this.#used > 0) {
      this.#bittorrent = this.#moved(this.#bittorrent, base, 2);
      this.#other = this.#moved(this.#other, base, 2);
      this.#used = Math.floor((this.#base + this.#used - 1) / 2) - base + 1;
    }
    this.#base = base;
    this.#widthMicros *= 2;
  }

  /** The series with another first bucket, `factor` old buckets making one new one. */
  #moved(series: Float64Array<ArrayBuffer>, base: number, factor: 1 | 2): Float64Array<ArrayBuffer> {
    if (factor === 1 && (this.#used === 0 || base === this.#base)) return series;
    const moved = new Float64Array(bucketsMax);
    for (let i = 0; i < this.#used; i++) moved[Math.floor((this.#base + i) / factor) - base]! += series[i]!;
    return moved;
  }
}
