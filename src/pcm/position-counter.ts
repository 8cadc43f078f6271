/** Periods by which a reading may be too high: a host device's own step, and an event that was late. */
const SLACK_PERIODS = 2;

/** Part of a period by which a device that stands still may read too low: it rounds down, by a frame or so. */
const ROUNDING_PERIODS = 1 / 4;

/**
 * Makes bytes since START of what a backend's counter (XENSND_EVT_CUR_POS) reads. Real counters begin anywhere where
 * the host device is shared, begin again at 0 after an xrun, come late, twice, or with a step too much. When in doubt
 * the count is too low: what counts as played is overwritten.
 */
export class PositionCounter {
  readonly #periodBytes: number;
  readonly #slack: number;
  /** The count was `#offset` when the counter read `#base`. */
  #base = 0n;
  #offset = 0;
  #isFirst = true;
  #count = 0;
  /** The highest count that can be true: one far beyond what was possible when it was read is not. */
  #plausible = 0;
  /** A reading far below the last one. Should the next one rise from there, then the counter has begun again. */
  #fallen: bigint | undefined;

  /** `periodBytes`: as much has been played when the first position after START is sent. */
  constructor(periodBytes: number) {
    this.#periodBytes = periodBytes;
    this.#slack = SLACK_PERIODS * periodBytes;
  }

  /** Bytes since START; never fewer than before, never more than was possible. */
  get count(): number {
    return this.#count;
  }

  /** What the counter reads, u64, where {@link count} is 0; undefined while a next reading may say otherwise. */
  get origin(): bigint | undefined {
    const isPlain = this.#fallen === undefined && this.#count === this.#plausible;
    return isPlain ? BigInt.asUintN(64, this.#base - BigInt(this.#offset)) : undefined;
  }

  /** Another has read the counter meanwhile, and `count` came of it. */
  follow(count: number): void {
    this.#isFirst &&= count === 0;
    this.#count = this.#plausible = count;
  }

  /** The last reading was more than a period below one before, which nothing explains yet. */
  get hasFallen(): boolean {
    return this.#fallen !== undefined;
  }

  /**
   * Takes one reading; returns {@link count}. `possible`: so many bytes can have been played (what was written), or captured.
   * `stoodAt`: where the device stood still for want of data and has not been heard of since; undefined where it ran on.
   */
  read(position: bigint, possible: number, stoodAt?: number): number {
    if (this.#isFirst && position > BigInt(possible + this.#slack)) {
      this.#rebase(position, this.#periodBytes); // not ours alone
    }
    this.#isFirst = false;
    this.#watchFall(position, possible, stoodAt);
    const count = this.#countAt(position);
    const played = Math.min(count, possible);
    if (count <= Math.max(possible, this.#plausible + this.#slack)) {
      this.#plausible = Math.max(this.#plausible, played);
    }
    this.#count = Math.max(this.#count, played);
    return this.#count;
  }

  /**
   * A low reading may be a late one. A counter has begun again where the device had stood still and the reading is no
   * more than what was written since, or where a second one rises from the first.
   */
  #watchFall(position: bigint, possible: number, stoodAt: number | undefined): void {
    const before = this.#fallen;
    this.#fallen = undefined;
    const hasStood = stoodAt === this.#plausible; // not because of a jump
    const tolerance = hasStood ? ROUNDING_PERIODS * this.#periodBytes : this.#periodBytes;
    if (this.#countAt(position) >= this.#plausible - tolerance) return;
    if (hasStood && position <= BigInt(possible - this.#plausible + this.#slack)) {
      this.#rebase(0n, this.#plausible);
    } else if (before !== undefined && position > before) {
      this.#rebase(before <= BigInt(this.#slack) ? 0n : before, this.#plausible);
    } else {
      this.#fallen = position;
    }
  }

  #rebase(base: bigint, offset: number): void {
    this.#base = base;
    this.#offset = offset;
  }

  /** Exact up to 2^53, which is more than is ever possible. */
  #countAt(position: bigint): number {
    return this.#offset + Number(position - this.#base);
  }
}
