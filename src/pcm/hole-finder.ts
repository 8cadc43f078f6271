/** ns: of the reports of so long a time only the least late one counts. */
const CELL = 250e6;

/** So many cells are compared with as many, and up to twice as many, that come after them. */
const CELLS = 8;

/** Cells after which it is looked for holes: each place is looked at twice at least while it is so far behind. */
const CELLS_A_LOOK = 4;

/** A device has to run evenly for so many cells before anything can be missed. */
const LEAST_CELLS = 4;

/** No device's rate deviates more, whatever resamples on its way; what it has deviated by so far comes on top. */
const MOST_DEVIATION = 5000e-6;

/** As in position-clock.ts: all of n reports are later than 28 times their mean lateness, over n, once in a million. */
const CERTAINTY = 28;

/** Frames: a backend may round a position down, the one before the hole or the one after it. */
const ROUNDING = 2;

/** The reports of a quarter of a second. Times are in frames that a device of the nominal rate would have played. */
interface Cell {
  readonly begin: number;
  reports: number;
  /** The least late one: when it came, and by how much its position was ahead of that. */
  at: number;
  ahead: number;
  /** Of what all of them were ahead. */
  sum: number;
}

/**
 * Finds frames that a device has not played although it went on afterwards: an xrun at the host between two positions, of
 * which no event tells. Reports are late by any time and never early, so the least late one of some time lies near the
 * device's own line; a hole is where all of them lie below it for good, by more than a late report, a rate that is off,
 * or a position that is a step old can explain. When in doubt there is none.
 */
export class HoleFinder {
  readonly #rate: number;
  /** The newest one first. */
  #cells: Cell[] = [];
  /** Cells since the last look. */
  #unseen = 0;
  #periodFrames = 0;
  /** Frames: the device itself moves in no longer steps. One that a rounding explains is none. */
  #leastAdvance = Number.POSITIVE_INFINITY;
  #last: number | undefined;

  /** `rate`: the nominal one, Hz. */
  constructor(rate: number) {
    this.#rate = rate;
  }

  /** The device is set going, or stopped: what was before says nothing about what follows. `periodFrames`: between two reports. */
  begin(periodFrames: number): void {
    this.#cells = [];
    this.#unseen = 0;
    this.#periodFrames = periodFrames;
    this.#leastAdvance = Number.POSITIVE_INFINITY;
    this.#last = undefined;
  }

  /** Takes a position, in frames, that was reported at `time`, ns. Returns how many frames were missing some time ago, or 0. */
  report(frames: number, time: number): number {
    const at = (time * this.#rate) / 1e9;
    const ahead = frames - at;
    const advance = frames - (this.#last ?? frames);
    if (advance > ROUNDING) this.#leastAdvance = Math.min(this.#leastAdvance, advance);
    this.#last = frames;
    const [cell] = this.#cells;
    if (cell && at - cell.begin < (CELL * this.#rate) / 1e9) {
      if (ahead > cell.ahead) Object.assign(cell, { at, ahead });
      cell.reports++;
      cell.sum += ahead;
      return 0;
    }
    this.#unseen++;
    const missing = this.#unseen === CELLS_A_LOOK ? this.#find() : 0;
    this.#cells.unshift({ begin: at, reports: 1, at, ahead, sum: ahead });
    this.#cells.splice(3 * CELLS);
    return missing;
  }

  #find(): number {
    this.#unseen = 0;
    const most = Math.min(2 * CELLS, this.#cells.length - LEAST_CELLS);
    for (let count = CELLS; count <= most; count++) {
      const missing = this.#missingBefore(count);
      if (missing === 0) continue;
      this.#cells.splice(count);
      return missing;
    }
    return 0;
  }

  /** Frames that were missing right before the newest `count` cells; 0 where that is not certain. */
  #missingBefore(count: number): number {
    const after = this.#cells.slice(0, count);
    const before = this.#cells.slice(count, count + CELLS);
    const [first, newest, oldest] = [after.at(-1), before[0], before.at(-1)];
    if (first === undefined || newest === undefined || oldest === undefined) return 0;
    const slope = (newest.ahead - oldest.ahead) / (newest.at - oldest.at);
    const fall = MOST_DEVIATION + Math.max(0, -slope);
    const line = Math.max(...before.map(({ at, ahead }) => ahead - fall * (first.at - at)));
    const top = Math.max(...after.map(({ ahead }) => ahead));
    const certain = line - top;
    const step = Math.max(this.#periodFrames, this.#leastAdvance); // by so much a position may be old
    if (certain <= step + slackOf(after, top) + ROUNDING) return 0;
    return Math.round(Math.max(...before.map(({ ahead }) => ahead)) - top);
  }
}

/** Frames by which the least late of these reports, which is `top` ahead, may be late. */
function slackOf(cells: readonly Cell[], top: number): number {
  const reports = cells.reduce((sum, cell) => sum + cell.reports, 0);
  const lateness = top - cells.reduce((sum, cell) => sum + cell.sum, 0) / reports;
  return (CERTAINTY * lateness) / reports;
}
