import { type Histogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock, Timer } from '../clock.ts';
import type { MetricFamily } from './exposition.ts';

/** ms between two looks at the loop: 50 of them a second cost a third of a percent of a core. */
const RESOLUTION = 20;

/** ns: a gap is shown for as long at least, whoever scrapes, and at most twice as long. */
const WINDOW = 60e9;

/** The longest that the event loop has made a timer wait, lately. */
export class LoopGap {
  /** Of the times from one look to the next, in ns. */
  readonly #histogram: Pick<Histogram, 'max' | 'reset'>;
  readonly #clock: Clock;
  /** s: the worst gap of the window before this one. */
  #before = 0;
  #timer: Timer;

  /** `histogram`: another than that of this process' event loop, whose looks are {@link RESOLUTION} apart too. */
  constructor(clock: Clock, histogram: Pick<Histogram, 'max' | 'reset'>) {
    this.#clock = clock;
    this.#histogram = histogram;
    this.#timer = this.#beginWindow();
  }

  /** s: by how much the timer that was latest came late, in this window and the one before. */
  get worst(): number {
    return Math.max(this.#before, this.#now);
  }

  close(): void {
    this.#timer.cancel();
  }

  get #now(): number {
    return Math.max(0, this.#histogram.max / 1e9 - RESOLUTION / 1e3);
  }

  #beginWindow(): Timer {
    const timer = this.#clock.after(WINDOW, () => {
      this.#before = this.#now;
      this.#histogram.reset();
      this.#timer = this.#beginWindow();
    });
    timer.unref();
    return timer;
  }
}

/** Looks at this process' event loop, natively, until it is released. */
export function watchLoop(clock: Clock): { readonly gap: LoopGap; release(): void } {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION });
  histogram.enable();
  const gap = new LoopGap(clock, histogram);
  const release = () => {
    gap.close();
    histogram.disable();
  };
  return { gap, release };
}

export function loopMetrics({ worst }: LoopGap): MetricFamily[] {
  return [
    {
      name: 'vsnd_event_loop_worst_gap_seconds',
      type: 'gauge',
      unit: 'seconds',
      help: 'The longest that a timer came late, in the last one to two minutes.',
      samples: [['', worst]],
    },
  ];
}
