import { createHook } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import type { Card } from '../../src/frontend/card.ts';
import { openCard } from '../../src/open-card.ts';
import { startTestGuest, type TestGuest } from '../../src/testing.ts';
import type { EventPort, Hypervisor } from '../../src/xen/hypervisor.ts';
import { STEREO } from '../sound.ts';
import { IS_CARRIED } from './setup.ts';

const PERIODS = 20;
const FORMAT = {
  ...STEREO,
  periodFrames: 1024,
  bufferFrames: 8192,
} as const;
const PERIOD_BYTES = FORMAT.periodFrames * 4;

/** The layers through which a period goes. */
const OURS = /\/src\/(?:frontend|backend|pcm|wire)\//;

const none = () => ({ wakes: 0, notifications: 0, timersSet: 0, timersCancelled: 0, promises: 0 });

let counts = none();
const hook = createHook({
  init: (_id, type) => {
    if (type === 'PROMISE' && OURS.test(new Error('where').stack ?? '')) counts.promises += 1;
  },
});

/** `hypervisor`, with what a frontend does with it counted. */
function counting(hypervisor: Hypervisor): Hypervisor {
  const clock: Clock = {
    now: () => hypervisor.clock.now(),
    after: (delay, callback) => {
      counts.timersSet += 1;
      const timer = hypervisor.clock.after(delay, callback);
      const cancel = () => {
        counts.timersCancelled += 1;
        timer.cancel();
      };
      return { cancel, unref: () => timer.unref() };
    },
  };
  const countPort = (port: EventPort): EventPort => ({
    port: port.port,
    notify: () => {
      counts.notifications += 1;
      port.notify();
    },
    onNotify: (handler) =>
      port.onNotify(() => {
        counts.wakes += 1;
        handler();
      }),
    idle: () => port.idle(),
    unbind: () => port.unbind(),
  });
  const channels = hypervisor.eventChannels;
  const eventChannels = {
    bindUnbound: async (domid: number) => countPort(await channels.bindUnbound(domid)),
    bindInterdomain: async (domid: number, port: number) =>
      countPort(await channels.bindInterdomain(domid, port)),
    forgetIfRestored: () => channels.forgetIfRestored(),
  };
  return new Proxy(hypervisor, {
    get: (target, name) => {
      if (name === 'clock') return clock;
      if (name === 'eventChannels') return eventChannels;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('a paced period', () => {
  let guest: TestGuest;
  let card: Card;

  beforeEach(async () => {
    guest = await startTestGuest({ capture: true });
    card = await openCard({ hypervisor: counting(guest.hypervisor) });
  });

  afterEach(async () => {
    hook.disable();
    await card.close();
    await guest.close();
  });

  /** What so many periods come to, once all are alike; `transfers`: WRITEs or READs. */
  async function countPeriods(stream: 0 | 1) {
    await guest.clock.advance(32 * FORMAT.periodFrames);
    const requests = () => guest.backend.status[0]?.streams[stream]?.totals.requests ?? 0;
    const before = requests();
    counts = none();
    hook.enable();
    await guest.clock.advance(PERIODS * FORMAT.periodFrames);
    hook.disable();
    const { timersSet, ...rest } = counts;
    expect(timersSet).toBeLessThanOrEqual(PERIODS / 10); // a watchdog's, now and then
    return { ...rest, transfers: requests() - before };
  }

  /** A thread that carries the stream wakes nobody; while the buffer is nearly full it rests, and sends two periods at once. */
  const ideal = {
    wakes: IS_CARRIED ? 0 : PERIODS,
    transfers: PERIODS,
    notifications: IS_CARRIED ? 0 : PERIODS,
    timersCancelled: 0,
    promises: 0,
  };

  test('of playback is one wake, one WRITE and one notification, without a timer or a promise', async () => {
    const stream = card.createPlaybackStream(FORMAT);
    const piece = Buffer.alloc(PERIOD_BYTES);
    const write = () => {
      while (stream.write(piece));
    };
    stream.on('drain', write);
    write();
    expect(await countPeriods(0)).toEqual({ ...ideal, transfers: IS_CARRIED ? PERIODS / 2 : PERIODS });
    stream.destroy();
  });

  test('of capture is one READ, whose answer is waited for', async () => {
    const stream = card.createCaptureStream(FORMAT);
    stream.on('data', () => {});
    expect(await countPeriods(1)).toEqual({ ...ideal, wakes: 2 * ideal.wakes });
    stream.destroy();
  });
});
