/**
 * pcapng time stamps to whole microseconds. The stamp is a 64-bit count of units since 1970 whose unit the interface
 * names (draft-ietf-opsawg-pcapng, section 4.2, if_tsresol and if_tsoffset). 64 bits do not fit in a double, so the
 * two halves are divided separately: exact without BigInt, which would allocate for every packet.
 */

const twoTo32 = 4_294_967_296;

/** Unit of an interface without if_tsresol: microseconds. */
export const tsresolMicros = 6;

/** Converts the time stamps of one interface. */
export class TimeScale {
  /** Units are 2^-bits seconds; -1 when they are a power of ten. */
  readonly #bits: number;
  /** Microseconds per unit when units are a microsecond or longer. */
  readonly #multiplier: number;
  /** Units per microsecond, each factor at most 10^6, so that every step stays below 2^53. */
  readonly #divisor: number;
  readonly #divisorFurther: readonly number[];
  readonly #offsetMicros: number;

  /**
   * @param tsresol if_tsresol: exponent of ten, or of two with the highest bit set (one byte).
   * @param offsetSeconds if_tsoffset: seconds to add to each stamp.
   */
  constructor(tsresol: number = tsresolMicros, offsetSeconds = 0) {
    const exponent = tsresol & 0x7f;
    const binary = (tsresol & 0x80) !== 0;
    this.#bits = binary ? exponent : -1;
    this.#multiplier = binary || exponent > 6 ? 1 : 10 ** (6 - exponent);
    const factors: number[] = [];
    for (let left = binary ? 0 : exponent - 6; left > 0; left -= 6) factors.push(10 ** Math.min(left, 6));
    this.#divisor = factors[0] ?? 1;
    this.#divisorFurther = factors.slice(1);
    this.#offsetMicros = offsetSeconds * 1_000_000;
  }

  /**
   * Whole microseconds since 1970, rounded down, of the stamp with these two unsigned 32-bit halves. Stamps beyond what
   * a double counts exactly (the year 2255) are nonsense that damaged files do hold; they are clamped, so that whoever
   * makes a date of them gets one.
   */
  micros(high: number, low: number): number {
    const micros = this.#unbounded(high, low);
    if (micros > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER;
    return micros < -Number.MAX_SAFE_INTEGER ? -Number.MAX_SAFE_INTEGER : micros;
  }

  #unbounded(high: number, low: number): number {
    if (this.#bits >= 0) return this.#binary(high, low) + this.#offsetMicros;
    if (this.#divisor === 1) return (high * twoTo32 + low) * this.#multiplier + this.#offsetMicros;
    let upper = Math.floor(high / this.#divisor);
    let lower = Math.floor(((high - upper * this.#divisor) * twoTo32 + low) / this.#divisor);
    for (const factor of this.#divisorFurther) {
      const rest = upper % factor;
      upper = Math.floor(upper / factor);
      lower = Math.floor((rest * twoTo32 + lower) / factor);
    }
    return upper * twoTo32 + lower + this.#offsetMicros;
  }

  #binary(high: number, low: number): number {
    const bits = this.#bits;
    if (bits <= 32) {
      const unit = 2 ** bits;
      const seconds = high * (twoTo32 / unit) + Math.floor(low / unit);
      return seconds * 1_000_000 + Math.floor(((low % unit) * 1_000_000) / unit);
    }
    const unit = 2 ** (bits - 32);
    const seconds = Math.floor(high / unit);
    const fraction = (high - seconds * unit) * 1_000_000 + Math.floor((low * 1_000_000) / twoTo32);
    return seconds * 1_000_000 + Math.floor(fraction / unit);
  }
}
