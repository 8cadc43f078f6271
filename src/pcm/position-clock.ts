/** A stream's position at one time of the monotonic clock. */
export interface ClockReading {
  /** Frames played or captured, interpolated, hence with a fraction; never fewer than in an earlier reading. */
  readonly frames: number;
  /** By how much `frames` may be wrong, in either direction. A delay that all reports share cannot be seen. */
  readonly errorFrames: number;
  /**
   * By how much the device's rate, over the last minute, deviates from the nominal one, ppm: positive where it is fast.
   * undefined as long as that may be wrong by more than 100 ppm.
   */
  readonly deviation: number | undefined;
  /** By how much `deviation` may be wrong, ppm. */
  readonly deviationError: number | undefined;
}

/** ns: of the reports of so long a time only the least late one is kept. */
const CELL = 250e6;

/** ns: the rate is taken from the reports of so long a time. */
const WINDOW = 60e9;

/** The height of the line is taken from so many reports, the newest. */
const RECENT = 100;

/** One for each third of the time that a line is laid on. */
const LEAST_CELLS = 3;

/** The mean lateness is that of about so many reports. */
const LATENESS_MEMORY = 4096;

/** s: the mean lateness that is assumed before any has been seen. */
const FIRST_LATENESS = 0.01;

/**
 * Of n reports whose lateness is spread evenly from 0 to twice its mean m, all are later than 28 m/n in one case of
 * e^14, a million; where little lateness is commoner than that, in fewer.
 */
const CERTAINTY = 28;

/**
 * ns: by so much reports in a row may all be late. A host looks at its device every so many whole milliseconds, the
 * device moves in steps of its own, and the two beat.
 */
const BEAT = 1e6;

/** Frames: a backend may round a position down. */
const ROUNDING = 1;

/** No crystal deviates more: all that is known of the rate before it is measured. */
const MOST_DEVIATION = 500e-6;

/** A deviation is told when it cannot be wrong by more. */
const TELLING = 100e-6;

/** A second's change of the deviation, at most, as the crystal warms and cools. */
const WANDER = 0.1e-6;

/** Reports that are kept until somebody reads, the newest: a {@link WINDOW} of those of periods from 15 ms on. */
const MOST_UNREAD = 4096;

/** Cells after which the rate is taken anew, where nobody has waited for it meanwhile. */
const MOST_UNMEASURED = 16;

/** So many of the oldest are forgotten at once. */
const UNREAD_PART = 256;

/** After a silence of so many times the usual distance between reports the device may have stopped. */
const OVERDUE = 3;

/** A report; both in frames since the run began. */
interface Point {
  /** The time: what a device of the nominal rate would have played by then. */
  readonly at: number;
  /** The position, less `at`: how far the device is ahead of the nominal one. */
  readonly ahead: number;
}

/** The reports of a quarter of a second: how many, since when, and the least late one. */
interface Cell extends Point {
  readonly begin: number;
  readonly reports: number;
}

/** The line through two points. */
interface Edge {
  readonly from: Point;
  readonly to: Point;
  readonly slope: number;
}

/** A stretch of time in which the device does not stop, from a position in frames and a time in ns. */
interface Run {
  readonly frames: number;
  readonly time: number;
  /** The newest one first. */
  readonly cells: Cell[];
  latest: Point | undefined;
  /** Cells that have been filled since the rate was taken last. */
  unmeasured: number;
  /** Height, at time 0, of the line that rests on the recent cells behind the newest. */
  behind: number;
}

/** The true rate is the nominal one times (1 + deviation). */
interface Rate {
  readonly deviation: number;
  readonly error: number;
}

/** A line that rests on reports. */
interface Fit extends Rate {
  /** Frames by which the least late report of a cell lies below it, at most. */
  readonly wobble: number;
  /** It comes near to reports in every third of the time. */
  readonly isGood: boolean;
}

/**
 * A stream's position, and its device's rate, by the monotonic clock. Reports are late by any time and never early: the
 * device's own line, position over time, lies on or above all of them, and their average lies below it. The estimate
 * is a line that rests on them from above, as steep as the edge of their upper hull over the middle of the last minute,
 * and as high as the newest of them demand. Times are in ns and never run backwards. A report is only stored,
 * and costs something when somebody reads.
 */
export class PositionClock {
  readonly #rate: number;
  #run: Run | undefined;
  /** Frames at which the device stands where there is no run. */
  #standing = 0;
  /** Frames of the last reading. */
  #read = 0;
  /** Frames: the mean of so many reports. */
  #lateness: number;
  #reports = 1;
  /** Frames, as in {@link Fit}. */
  #wobble = 0;
  /** Frames and times of reports that have not been looked at, in turn. */
  readonly #unread = new Float64Array(2 * MOST_UNREAD);
  #unreadCount = 0;
  #measured: Rate & { readonly time: number } = { deviation: 0, error: MOST_DEVIATION, time: 0 };

  /** `rate`: the nominal one, Hz. */
  constructor(rate: number) {
    this.#rate = rate;
    this.#lateness = FIRST_LATENESS * rate;
  }

  /** The device is set going, at `frames`: START, RESUME, data after an underrun. It moves from `time` on, or later. */
  start(frames: number, time: number): void {
    this.#takeIn();
    this.#run = {
      frames,
      time,
      cells: [],
      latest: undefined,
      unmeasured: 0,
      behind: Number.NEGATIVE_INFINITY,
    };
  }

  /** The device stands, at `frames`, until it is started: pause, xrun, loss of the connection. Its rate is remembered. */
  halt(frames: number): void {
    this.#takeIn();
    this.#run = undefined;
    this.#standing = frames;
  }

  /** The position was reported at `time`: frames since the stream was opened. */
  report(frames: number, time: number): void {
    if (this.#unreadCount === MOST_UNREAD) this.#forget(UNREAD_PART);
    this.#unread[2 * this.#unreadCount] = frames;
    this.#unread[2 * this.#unreadCount + 1] = time;
    this.#unreadCount++;
  }

  /** The reading for `time`, now or later. `limit`: frames that there are to be played. */
  read(time: number, limit = Number.POSITIVE_INFINITY): ClockReading {
    this.#takeIn();
    const rate = this.#rateAt(time);
    const { frames, error, certain } = this.#estimate(time, rate);
    this.#read = Math.max(this.#read, Math.min(frames, limit));
    const isTold = rate.error <= TELLING;
    return {
      frames: this.#read,
      errorFrames: Math.max(error + Math.max(0, this.#read - frames), this.#read - certain),
      deviation: isTold ? rate.deviation * 1e6 : undefined,
      deviationError: isTold ? rate.error * 1e6 : undefined,
    };
  }

  #takeIn(): void {
    for (let index = 0; index < this.#unreadCount; index++) {
      this.#takeReport(this.#unread[2 * index] ?? 0, this.#unread[2 * index + 1] ?? 0);
    }
    this.#unreadCount = 0;
    if (this.#run && this.#run.unmeasured > 0) this.#measure(this.#run);
  }

  #forget(count: number): void {
    this.#unread.copyWithin(0, 2 * count, 2 * this.#unreadCount);
    this.#unreadCount -= count;
  }

  #takeReport(frames: number, time: number): void {
    const run = this.#run;
    if (run === undefined) {
      this.#standing = Math.max(this.#standing, frames);
    } else if (run.latest !== undefined || frames > run.frames) {
      const at = this.#framesIn(time - run.time);
      this.#add(run, { at, ahead: frames - run.frames - at });
    }
  }

  /** `certain`: frames that have been played even if the device has stopped. */
  #estimate(time: number, rate: Rate): { frames: number; error: number; certain: number } {
    const run = this.#run;
    if (run === undefined) return { frames: this.#standing, error: 0, certain: this.#standing };
    const at = this.#framesIn(time - run.time);
    const { latest } = run;
    if (latest === undefined) {
      return { frames: run.frames, error: at * (1 + rate.deviation + rate.error), certain: run.frames };
    }
    const { ahead, reports, begin } = this.#recent(run.cells, at);
    const frames = run.frames + (at + ahead);
    const isOverdue = at - latest.at > (OVERDUE * (latest.at - begin)) / reports;
    return {
      frames,
      error: this.#slack(reports) + this.#wobble + rate.error * (at - begin),
      certain: isOverdue ? run.frames + (latest.at + latest.ahead) : frames,
    };
  }

  #add(run: Run, point: Point): void {
    const { cells } = run;
    if (run.latest !== undefined) this.#learnLateness(run, point);
    run.latest = point;
    const [cell] = cells;
    if (cell === undefined || point.at - cell.begin >= this.#framesIn(CELL)) {
      cells.unshift({ ...point, begin: point.at, reports: 1 });
      run.unmeasured++;
      if (run.unmeasured === MOST_UNMEASURED) this.#measure(run);
      else this.#restLine(run);
    } else {
      const leastLate = highest([point, cell], this.#measured.deviation);
      cells[0] = { ...leastLate, begin: cell.begin, reports: cell.reports + 1 };
    }
  }

  #learnLateness({ cells, behind }: Run, { at, ahead }: Point): void {
    const { deviation } = this.#measured;
    const newest = cells[0] === undefined ? behind : heightAt(0, cells[0], deviation);
    const line = Math.max(behind, newest) + deviation * at;
    this.#reports = Math.min(this.#reports + 1, LATENESS_MEMORY);
    this.#lateness += (Math.max(0, line - ahead) - this.#lateness) / this.#reports;
  }

  /** Frames by which the least late of so many reports may be late. */
  #slack(reports: number): number {
    return (CERTAINTY * this.#lateness) / reports + ROUNDING;
  }

  /** The height at `at` of the line that rests on the newest reports, their number, and when they began. */
  #recent(cells: readonly Cell[], at: number): { ahead: number; reports: number; begin: number } {
    let [ahead, reports, begin] = [Number.NEGATIVE_INFINITY, 0, at];
    for (const cell of cells) {
      ahead = Math.max(ahead, heightAt(at, cell, this.#measured.deviation));
      reports += cell.reports;
      begin = cell.begin;
      if (reports >= RECENT) break;
    }
    return { ahead, reports, begin };
  }

  /** What is known of the rate at `time`. What was measured long ago is less certain. */
  #rateAt(time: number): Rate {
    const { deviation, error, time: then } = this.#measured;
    const aged = error + (WANDER * (time - then)) / 1e9;
    return { deviation, error: Math.min(aged, MOST_DEVIATION) };
  }

  /**
   * Forgets cells that are too old, or no longer lie on one line with the newest, and takes the rate from the others. The newest
   * of all is not full yet.
   */
  #measure(run: Run): void {
    const { cells } = run;
    run.unmeasured = 0;
    const newest = cells.shift();
    if (newest === undefined) return;
    const oldest = newest.begin - this.#framesIn(WINDOW);
    cells.splice(cells.findLastIndex(({ begin }) => begin >= oldest) + 1);
    while (cells.length >= LEAST_CELLS) {
      const fit = this.#fit(cells);
      if (fit.isGood) {
        this.#learn(fit, run.time + (newest.begin * 1e9) / this.#rate);
        break;
      }
      cells.splice(Math.floor(cells.length / 2));
    }
    cells.unshift(newest);
    this.#restLine(run);
  }

  #restLine(run: Run): void {
    run.behind = this.#recent(run.cells.slice(1), 0).ahead;
  }

  #learn({ deviation, error, wobble }: Fit, time: number): void {
    const known = this.#rateAt(time);
    const contradicts = Math.abs(deviation - known.deviation) > error + known.error;
    if (contradicts || error <= known.error) this.#measured = { deviation, error, time };
    this.#wobble = wobble;
  }

  /** Lays a line on the cells, at least {@link LEAST_CELLS}. A third of the time without a report leaves the rate open. */
  #fit(cells: readonly Cell[]): Fit {
    const times = cells.map(({ at }) => at);
    const [begin, end] = [Math.min(...times), Math.max(...times)];
    const { from, to, slope } = edgeOver((begin + end) / 2, cells);

    const [oneThird, twoThirds] = [begin + (end - begin) / 3, end - (end - begin) / 3];
    const early = cells.filter(({ at }) => at < oneThird);
    const middle = cells.filter(({ at }) => at >= oneThird && at <= twoThirds);
    const late = cells.filter(({ at }) => at > twoThirds);

    const below = (part: readonly Cell[]) => part.map(({ at, ahead }) => heightAt(at, from, slope) - ahead);
    const gaps = [early, middle, late].map((part) => Math.min(...below(part)));
    const slack = this.#slack(Math.min(reportsIn(early), reportsIn(late)));

    // The device's line is not below the edge's ends, and by no more than the slack above a report early and one late.
    const reach = Math.min(twoThirds - from.at, to.at - oneThird);
    return {
      deviation: slope,
      error: (Math.max(...gaps) + slack) / reach + (WANDER * (end - begin)) / this.#rate / 2,
      wobble: Math.max(...below(cells)),
      isGood: gaps.filter(Number.isFinite).every((gap) => gap <= slack + this.#framesIn(BEAT)),
    };
  }

  #framesIn(duration: number): number {
    return (duration * this.#rate) / 1e9;
  }
}

/** The height at the time `at` of the line through `point`. */
function heightAt(at: number, point: Point, slope: number): number {
  return point.ahead + slope * (at - point.at);
}

/** The point on which a line of that slope rests; the first of equals. Throws a TypeError for no points. */
function highest(points: readonly Point[], slope: number): Point {
  return points.reduce((best, point) => (point.ahead > heightAt(point.at, best, slope) ? point : best));
}

function reportsIn(cells: readonly Cell[]): number {
  return cells.reduce((sum, { reports }) => sum + reports, 0);
}

/** The edge of the points' upper hull over the time `middle`: of the lines between two points, the highest one there. */
function edgeOver(middle: number, points: readonly Point[]): Edge {
  const before = points.filter(({ at }) => at <= middle);
  const after = points.filter(({ at }) => at > middle);
  let edge = edgeAlong(0, before, after);
  for (;;) {
    const next = edgeAlong(edge.slope, before, after);
    // Higher each time, hence it ends.
    if (!(heightAt(middle, next.from, next.slope) > heightAt(middle, edge.from, edge.slope))) return edge;
    edge = next;
  }
}

function edgeAlong(slope: number, before: readonly Point[], after: readonly Point[]): Edge {
  const [from, to] = [highest(before, slope), highest(after, slope)];
  return { from, to, slope: (to.ahead - from.ahead) / (to.at - from.at) };
}
