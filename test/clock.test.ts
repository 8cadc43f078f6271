import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FastClock, ManualClock, nextTurn, RealClock, timeout, wait } from '../src/clock.ts';
import { deferred } from '../src/deferred.ts';

describe('a manual clock', () => {
  /** Sets a timer that writes down its name and when it was called. */
  const note = (clock: ManualClock, log: string[], name: string, delay: number) =>
    clock.after(delay, () => log.push(`${name} ${clock.now()}`));

  it('stands still until it is moved, and then stands where it was moved to', async () => {
    const clock = new ManualClock();
    expect(clock.now()).toBe(0);
    await clock.advanceTime(5);
    await clock.advanceTime(0);
    expect(clock.now()).toBe(5);
  });

  it('calls timers by their times, those of one instant in the order in which they were set', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    for (const [name, delay] of Object.entries({ a: 30, b: 10, c: 20, d: 10, e: 0, f: 10, g: 31 })) {
      note(clock, log, name, delay);
    }
    expect(clock.pendingTimers).toBe(7);
    await clock.advanceTime(30);
    expect(log).toEqual(['e 0', 'b 10', 'd 10', 'f 10', 'c 20', 'a 30']);
    expect(clock.pendingTimers).toBe(1);
    expect(clock.now()).toBe(30);
  });

  it('calls each once, never before its time, in any order of setting and moving', async () => {
    const moves = fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(moves, async (sequence) => {
        const clock = new ManualClock();
        const called: { due: number; at: number }[] = [];
        let set = 0;
        for (const [delay, duration] of sequence) {
          const due = clock.now() + delay;
          clock.after(delay, () => called.push({ due, at: clock.now() }));
          set++;
          await clock.advanceTime(duration);
        }
        expect(called.every(({ due, at }) => at === due)).toBe(true);
        expect(called.every(({ at }, index) => at >= (called[index - 1]?.at ?? 0))).toBe(true);
        expect(clock.pendingTimers).toBe(set - called.length);
        await clock.advanceTime(20);
        expect(called).toHaveLength(set);
      }),
    );
  });

  it('calls timers that timers set, as far as it is moved', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    const again = (): void => {
      log.push(`again ${clock.now()}`);
      clock.after(10, again);
    };
    clock.after(10, again);
    clock.after(15, () => note(clock, log, 'at once', 0));
    await clock.advanceTime(35);
    expect(log).toEqual(['again 10', 'at once 15', 'again 20', 'again 30']);
    expect(clock.pendingTimers).toBe(1);
  });

  it('does not call a timer that was cancelled, also by one of the same instant', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    const first = note(clock, log, 'first', 10);
    const second = clock.after(10, () => third.cancel());
    const third = note(clock, log, 'third', 10);
    const fourth = note(clock, log, 'fourth', 10);
    first.cancel();
    first.cancel();
    expect(clock.pendingTimers).toBe(3);
    await clock.advanceTime(10);
    expect(log).toEqual(['fourth 10']);
    for (const timer of [second, third, fourth]) timer.cancel();
    expect(clock.pendingTimers).toBe(0);
  });

  it('calls a timer without a reference as any other: it holds no process', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    note(clock, log, 'called', 10).unref();
    expect(clock.pendingTimers).toBe(1);
    await clock.advanceTime(10);
    expect(log).toEqual(['called 10']);
  });

  it('takes a negative delay for none, and never runs backwards', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    await clock.advanceTime(100);
    note(clock, log, 'late', -50);
    await clock.advanceTime(-10);
    expect(clock.now()).toBe(100);
    await clock.advanceTime(0);
    expect(log).toEqual(['late 100']);
  });

  it('counts in frames of 48 kHz, of its own rate, or of the rate given', async () => {
    const clock = new ManualClock();
    await clock.advance(48_000);
    expect(clock.now()).toBe(1e9);
    await clock.advance(441, 44_100);
    expect(clock.now()).toBe(1.01e9);
    const slow = new ManualClock({ rate: 8000 });
    await slow.advance(8);
    expect(slow.now()).toBe(1e6);
    await slow.advance(192, 192_000);
    expect(slow.now()).toBe(2e6);
  });

  it.each([5512, 8000, 11025, 22050, 44100, 48000, 192000])(
    'reaches a timer at %i Hz by the frames that lead to it, however they are summed up',
    async (rate) => {
      for (const period of [1, 64, 441, 1024]) {
        const clock = new ManualClock({ rate });
        let fired = 0;
        const arm = (): void => {
          const due = ((fired + 1) * period * 1e9) / rate;
          clock.after(due - clock.now(), () => {
            fired++;
            arm();
          });
        };
        arm();
        for (let periods = 1; periods <= 300; periods++) {
          await clock.advance(period);
          expect(fired, `periods of ${period} frames`).toBe(periods);
        }
      }
    },
  );

  it('settles before the first instant and after each, before the next timer is called', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    const settleAfterwards = async (name: string) => {
      log.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      log.push(`${name} ends`);
    };
    clock.settleWith(() => settleAfterwards('A'));
    clock.settleWith(() => settleAfterwards('B'));
    const settled = ['A begins', 'A ends', 'B begins', 'B ends'];
    note(clock, log, 'timer', 10);
    note(clock, log, 'timer', 10);
    await clock.advanceTime(10);
    expect(log).toEqual([...settled, 'timer 10', ...settled, 'timer 10', ...settled]);
  });

  it('calls a timer that is set while it settles, if that falls due on the way', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    let first = true;
    clock.settleWith(async () => {
      if (first) note(clock, log, 'set while settling', 5);
      first = false;
    });
    await clock.advanceTime(5);
    expect(log).toEqual(['set while settling 5']);
  });

  it('rejects with what a timer throws, and can be moved on', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    clock.after(5, () => {
      throw new Error('from a timer');
    });
    note(clock, log, 'next', 6);
    await expect(clock.advanceTime(10)).rejects.toThrow('from a timer');
    expect(clock.now()).toBe(5);
    await clock.advanceTime(10);
    expect(log).toEqual(['next 6']);
  });
});

describe('a fast clock', () => {
  it('calls each timer in a later turn, in the order of their times, which are the time then', async () => {
    const clock = new FastClock();
    const log: string[] = [];
    const done = deferred();
    clock.after(20, () => log.push(`second ${clock.now()}`));
    clock.after(3_600e9, () => {
      log.push(`an hour ${clock.now()}`);
      done.resolve();
    });
    clock.after(10, () => {
      log.push(`first ${clock.now()}`);
      clock.after(5, () => log.push(`set by the first ${clock.now()}`));
    });
    clock.after(-1, () => log.push(`at once ${clock.now()}`));
    expect([log, clock.now()]).toEqual([[], 0]);
    await done.promise;
    expect(log).toEqual(['at once 0', 'first 10', 'set by the first 15', 'second 20', `an hour ${3_600e9}`]);
    expect(clock.now()).toBe(3_600e9);
  });

  it('calls one timer in a turn, so that others have theirs between', async () => {
    const clock = new FastClock();
    const log: string[] = [];
    const done = deferred();
    clock.after(1, () => {
      log.push('timer');
      setImmediate(() => log.push('other'));
    });
    clock.after(1, () => {
      log.push('timer');
      setImmediate(done.resolve);
    });
    await done.promise;
    expect(log).toEqual(['timer', 'other', 'timer']);
  });

  it('does not call what was cancelled, and goes on afterwards', async () => {
    const clock = new FastClock();
    const log: string[] = [];
    const only = clock.after(10, () => log.push('cancelled'));
    only.cancel();
    only.cancel();
    await new Promise((resolve) => setImmediate(resolve));
    expect(clock.now()).toBe(0);
    const done = deferred();
    const cancelled = clock.after(5, () => log.push('cancelled'));
    clock.after(7, () => done.resolve());
    cancelled.cancel();
    await done.promise;
    expect(log).toEqual([]);
    expect(clock.now()).toBe(7);
  });
});

describe('the real clock', () => {
  it('counts nanoseconds, and never backwards', () => {
    const clock = new RealClock();
    const before = performance.now();
    const times = Array.from({ length: 1000 }, () => clock.now());
    const after = performance.now();
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times[0]).toBeGreaterThanOrEqual(before * 1e6);
    expect(times.at(-1)).toBeLessThanOrEqual(after * 1e6);
  });

  it('calls back when the time has come, not before', async () => {
    const clock = new RealClock();
    for (let round = 0; round < 20; round++) {
      const delay = 1e6 + round * 50_000;
      const start = clock.now();
      await new Promise<void>((resolve) => void clock.after(delay, resolve));
      expect(clock.now() - start).toBeGreaterThanOrEqual(delay);
    }
  });

  it('calls in the order of the times', async () => {
    const clock = new RealClock();
    const log: string[] = [];
    await new Promise<void>((resolve) => {
      clock.after(20e6, () => resolve());
      clock.after(5e6, () => log.push('later'));
      clock.after(0, () => log.push('at once'));
      clock.after(-1e6, () => log.push('at once'));
      clock.after(1e6, () => log.push('cancelled')).cancel();
    });
    expect(log).toEqual(['at once', 'at once', 'later']);
  });

  describe('with its timers held by the test', () => {
    it('does not believe a timer that comes early', () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      onTestFinished(() => void vi.useRealTimers());
      const clock = new RealClock();
      let now = 100e6;
      vi.spyOn(clock, 'now').mockImplementation(() => now);
      let called = 0;
      const timer = clock.after(10e6, () => called++);
      now = 109.4e6;
      vi.advanceTimersByTime(10);
      expect([called, vi.getTimerCount()]).toEqual([0, 1]);
      now = 110e6;
      vi.advanceTimersByTime(1);
      expect([called, vi.getTimerCount()]).toEqual([1, 0]);
      timer.cancel();

      const cancelled = clock.after(10e6, () => called++);
      vi.advanceTimersByTime(10);
      expect(vi.getTimerCount()).toBe(1);
      cancelled.cancel();
      expect(vi.getTimerCount()).toBe(0);
      expect(called).toBe(1);
    });

    it('waits longer than setTimeout can, and for ever', () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
      onTestFinished(() => void vi.useRealTimers());
      const clock = new RealClock();
      const called: string[] = [];
      const month = 31 * 24 * 3_600_000;
      clock.after(month * 1e6, () => called.push('a month'));
      const never = clock.after(Number.POSITIVE_INFINITY, () => called.push('never'));
      expect(vi.getTimerCount()).toBe(2);
      vi.advanceTimersByTime(month - 1);
      expect(called).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(called).toEqual(['a month']);
      vi.advanceTimersByTime(month);
      expect(called).toEqual(['a month']);
      never.cancel();
      expect(vi.getTimerCount()).toBe(0);
    });
  });

  const holding = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

  it.each([
    [{}, 1],
    [{ ref: true }, 1],
    [{ ref: false }, 0],
  ])('with %o holds the process by %i timer', (options, held) => {
    const before = holding();
    const timer = new RealClock(options).after(1e12, () => {});
    expect(holding()).toBe(before + held);
    timer.cancel();
  });

  it.each(['when it is set', 'when it waits once more'])(
    'does not hold the process by a timer whose reference is given up %s',
    async (when) => {
      const clock = new RealClock();
      const [waitsAgain, hasCalled] = [deferred(), deferred()];
      const before = holding();
      // It is set at 0, and comes early; then its time has come.
      const times = [0, 0, 1e6];
      vi.spyOn(clock, 'now').mockImplementation(() => {
        if (times.length === 2) queueMicrotask(() => waitsAgain.resolve());
        return times.shift() ?? 1e6;
      });
      const timer = clock.after(1e6, () => hasCalled.resolve());
      expect(holding()).toBe(before + 1);
      if (when === 'when it is set') timer.unref();
      await waitsAgain.promise;
      timer.unref();
      expect(holding()).toBe(before);
      await hasCalled.promise;
      timer.unref();
      expect(holding()).toBe(before);
    },
  );

  it('holds the process by a timer until that is cancelled, or its reference is given up', () => {
    const clock = new RealClock();
    const before = holding();
    const timers = [clock.after(1e12, () => {}), clock.after(1e12, () => {})] as const;
    expect(holding()).toBe(before + 2);
    timers[0].unref();
    timers[0].unref();
    expect(holding()).toBe(before + 1);
    timers[1].cancel();
    expect(holding()).toBe(before);
    timers[0].cancel();
  });
});

describe('a time-out', () => {
  it('expires when its time has passed, and the event loop has taken in what came in time', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    timeout(clock, 5, () => log.push('expired'));
    await clock.advanceTime(5);
    setImmediate(() => log.push('later'));
    log.push('due');
    await nextTurn();
    expect(log).toEqual(['due', 'expired', 'later']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not expire any more that is cancelled, also in that turn', async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    const early = timeout(clock, 5, () => log.push('expired'));
    const late = timeout(clock, 5, () => log.push('expired'));
    early.cancel();
    expect(clock.pendingTimers).toBe(1);
    await clock.advanceTime(5);
    late.cancel();
    await nextTurn();
    expect([log, clock.pendingTimers]).toEqual([[], 0]);
  });

  it('gives its time once more where the process stood still, and not twice', async () => {
    const clock = new ManualClock();
    const expired: number[] = [];
    timeout(clock, 5e9, () => expired.push(clock.now()));
    await clock.standStill(6e9);
    await clock.advanceTime(4e9);
    await nextTurn();
    expect(expired).toEqual([]);
    await clock.standStill(9e9);
    await nextTurn();
    expect(expired).toEqual([19e9]);
  });

  it('expires in a process that sleeps otherwise, also without a reference', async () => {
    const clock = new ManualClock();
    const awake = () => process.getActiveResourcesInfo().filter((name) => name === 'Immediate').length;
    const before = awake();
    timeout(clock, 5, () => {}).unref();
    await clock.advanceTime(5);
    expect(awake()).toBe(before + 1);
    await nextTurn();
    expect(awake()).toBe(before);
  });

  it('holds the process as a timer does', () => {
    const holding = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = holding();
    const timer = timeout(new RealClock(), 1e12, () => {});
    expect(holding()).toBe(before + 1);
    timer.unref();
    expect(holding()).toBe(before);
    timer.cancel();
  });
});

describe('a wait', () => {
  /** Writes down when it is over. */
  const note = (log: number[], clock: ManualClock, waiting: Promise<void>) =>
    waiting.then(() => log.push(clock.now()));

  it('takes its time, and none where there is none to wait', async () => {
    const clock = new ManualClock();
    const log: number[] = [];
    for (const delay of [5, 0, -1, Number.NEGATIVE_INFINITY]) void note(log, clock, wait(clock, delay));
    expect(clock.pendingTimers).toBe(1);
    await clock.advanceTime(5);
    await nextTurn();
    expect(log).toEqual([0, 0, 0, 5]);
  });

  it('ends early when its signal aborts, and leaves neither timer nor listener', async () => {
    const clock = new ManualClock();
    const early = new AbortController();
    const log: number[] = [];
    void note(log, clock, wait(clock, 5, early));
    void note(log, clock, wait(clock, 2, early));
    await clock.advanceTime(2);
    await nextTurn();
    await clock.advanceTime(1);
    expect([log, getEventListeners(early.signal, 'abort').length]).toEqual([[2], 1]);
    early.abort();
    await note(log, clock, wait(clock, 5, early));
    expect(log).toEqual([2, 3, 3]);
    expect([clock.pendingTimers, getEventListeners(early.signal, 'abort').length]).toEqual([0, 0]);
  });

  it('holds the process, or does not', async () => {
    const holding = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = holding();
    const end = new AbortController();
    const waits = [true, false].map((ref) => wait(new RealClock(), 1e12, { signal: end.signal, ref }));
    expect(holding()).toBe(before + 1);
    end.abort();
    await Promise.all(waits);
    expect(holding()).toBe(before);
  });
});
