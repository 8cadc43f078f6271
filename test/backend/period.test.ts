import { expect, test } from 'vitest';
import { nullDevice } from '../../src/backend/devices.ts';
import type { Clock } from '../../src/clock.ts';
import { BUFFER_BYTES, PERIOD_BYTES } from './raw-frontend.ts';
import { useWorlds } from './world.ts';

const startWorld = useWorlds();

const PERIOD = 256; // frames

test('a card that is nothing but a clock sets one timer a period, however many WRITEs come, and cancels none', async () => {
  const timers = { set: 0, cancelled: 0 };
  const counting = (clock: Clock): Clock => ({
    now: () => clock.now(),
    after: (delay, callback) => {
      timers.set += 1;
      const timer = clock.after(delay, callback);
      const cancel = () => {
        timers.cancelled += 1;
        timer.cancel();
      };
      return { cancel, unref: () => timer.unref() };
    },
  });
  const world = await startWorld({ device: (clock) => nullDevice(counting(clock)) });
  const { channel } = await world.openStream();
  await channel.write(0, BUFFER_BYTES);
  await channel.trigger('start');
  await world.clock.advance(PERIOD);
  Object.assign(timers, { set: 0, cancelled: 0 });
  for (let period = 0; period < 20; period++) {
    for (let part = 0; part < 4; part++) {
      const offset = (period * PERIOD_BYTES + (part * PERIOD_BYTES) / 4) % BUFFER_BYTES;
      expect(await channel.write(offset, PERIOD_BYTES / 4)).toBe(0);
    }
    await world.clock.advance(PERIOD);
  }
  expect(timers).toEqual({ set: 20, cancelled: 0 });
});
