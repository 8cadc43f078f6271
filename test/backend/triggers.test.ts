import { describe, expect, test } from 'vitest';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, PERIOD_BYTES } from './raw-frontend.ts';
import { useWorlds } from './world.ts';

const startWorld = useWorlds();

const PERIOD = 256; // frames

async function filled() {
  const world = await startWorld();
  const { channel, buffer } = await world.openStream();
  buffer.put(0, noise(BUFFER_BYTES));
  expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
  return { world, channel, buffer };
}

describe('PAUSE and RESUME', () => {
  test('keep the position and lose no frame, wherever in a period', async () => {
    const { world, channel } = await filled();
    await channel.trigger('start');
    await world.clock.advance(PERIOD + 100);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
    await channel.trigger('pause');
    expect(world.device.heard()).toHaveLength((PERIOD + 100) * 4);
    await world.clock.advance(9999);
    expect(world.device.heard()).toHaveLength((PERIOD + 100) * 4);
    await channel.trigger('resume');
    await world.clock.advance(PERIOD - 101);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([2 * PERIOD_BYTES]);
    await world.clock.advance(PERIOD * 6);
    expect(world.device.heard()).toEqual(Buffer.from(noise(BUFFER_BYTES)));
  });

  test('many times within one period end in exactly one report', async () => {
    const { world, channel } = await filled();
    await channel.trigger('start');
    for (let round = 0; round < 10; round++) {
      await world.clock.advance(25);
      await channel.trigger('pause');
      await world.clock.advance(1000);
      await channel.trigger('resume');
    }
    await world.clock.advance(6);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });

  test('room that was played before the pause can be written during it', async () => {
    const { world, channel, buffer } = await filled();
    await channel.trigger('start');
    await world.clock.advance(PERIOD);
    await channel.trigger('pause');
    buffer.put(0, noise(PERIOD_BYTES, 2));
    expect(await channel.write(0, PERIOD_BYTES)).toBe(0);
    await world.clock.advance(5000);
    await channel.trigger('resume');
    await world.clock.advance(2048);
    expect(world.device.heard()).toEqual(Buffer.concat([noise(BUFFER_BYTES), noise(PERIOD_BYTES, 2)]));
  });

  test('RESUME of a stream that ran dry before the pause waits for data', async () => {
    const world = await startWorld();
    const { channel } = await world.openStream();
    await channel.trigger('start');
    expect(await channel.trigger('pause')).toBe(0);
    await channel.write(0, PERIOD_BYTES);
    await world.clock.advance(1000);
    expect(channel.takePositions()).toEqual([]);
    await channel.trigger('resume');
    await world.clock.advance(PERIOD);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });
});

describe('START', () => {
  test('without data waits for data, and counts the time from there', async () => {
    const world = await startWorld();
    const { channel, buffer } = await world.openStream();
    expect(await channel.trigger('start')).toBe(0);
    await world.clock.advance(12_345);
    buffer.put(0, noise(BUFFER_BYTES));
    await channel.write(0, BUFFER_BYTES);
    expect(world.device.heard()).toHaveLength(0);
    await world.clock.advance(PERIOD - 1);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
    expect(world.device.heard()).toEqual(Buffer.from(noise(BUFFER_BYTES).slice(0, PERIOD_BYTES)));
  });

  test('after an underrun goes on with the next WRITE, with no gap in what is heard', async () => {
    const world = await startWorld();
    const { channel, buffer } = await world.openStream();
    const bytes = noise(BUFFER_BYTES);
    buffer.put(0, bytes);
    await channel.write(0, 500);
    await channel.trigger('start');
    await world.clock.advance(5000);
    await channel.write(500, 500);
    await world.clock.advance(124);
    expect(channel.takePositions()).toEqual([500]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([1000]);
    expect(world.device.heard()).toEqual(Buffer.from(bytes.slice(0, 1000)));
  });

  test('data that comes just before the end of the last is played without a break', async () => {
    const world = await startWorld();
    const { channel } = await world.openStream();
    await channel.write(0, PERIOD_BYTES);
    await channel.trigger('start');
    for (let period = 1; period <= 20; period++) {
      await world.clock.advance(PERIOD - 1);
      await channel.write((period % 8) * PERIOD_BYTES, PERIOD_BYTES);
      expect(channel.takePositions()).toEqual([]);
      await world.clock.advance(1);
      expect(channel.takePositions()).toEqual([period * PERIOD_BYTES]);
    }
  });
});

describe('STOP', () => {
  test('throws away what was not played', async () => {
    const { world, channel, buffer } = await filled();
    await channel.trigger('start');
    await world.clock.advance(PERIOD);
    await channel.trigger('stop');
    await world.clock.advance(5000);
    buffer.put(0, noise(PERIOD_BYTES, 3));
    await channel.write(0, PERIOD_BYTES);
    await channel.trigger('start');
    await world.clock.advance(5000);
    const before = noise(BUFFER_BYTES).slice(0, PERIOD_BYTES);
    expect(world.device.heard()).toEqual(Buffer.concat([before, noise(PERIOD_BYTES, 3)]));
  });

  test('then CLOSE is answered with the clock standing still', async () => {
    const { world, channel } = await filled();
    await channel.trigger('start');
    await world.clock.advance(100);
    expect(await channel.trigger('stop')).toBe(0);
    expect(await channel.close()).toBe(0);
  });
});

describe('CLOSE', () => {
  test('without STOP plays out, with positions to the end, and is answered then', async () => {
    const { world, channel } = await filled();
    await channel.trigger('start');
    await world.clock.advance(PERIOD * 3);
    channel.takeEvents();
    channel.send({ op: 'close' });
    await world.clock.advance(PERIOD * 5 - 1);
    expect(channel.takeResponses()).toEqual([]);
    expect(channel.takePositions()).toEqual([4, 5, 6, 7].map((period) => period * PERIOD_BYTES));
    await world.clock.advance(1);
    expect(channel.takeResponses()).toMatchObject([{ operation: 1, status: 0 }]);
    expect(channel.takePositions()).toEqual([BUFFER_BYTES]);
    expect(world.device.heard()).toEqual(Buffer.from(noise(BUFFER_BYTES)));
  });

  test('of a paused stream, or one never started, is answered at once: nothing plays it out', async () => {
    for (const trigger of ['start', 'pause'] as const) {
      const { world, channel } = await filled();
      if (trigger === 'pause') {
        await channel.trigger('start');
        await channel.trigger('pause');
      }
      expect(await channel.close()).toBe(0);
      expect(world.device.heard()).toHaveLength(0);
    }
  });

  test('of a running stream with nothing left is answered at once', async () => {
    const { world, channel } = await filled();
    await channel.trigger('start');
    await world.clock.advance(5000);
    expect(await channel.close()).toBe(0);
  });

  test('in period 0 drains as well', async () => {
    const world = await startWorld();
    const { channel } = await world.openStream({ periodBytes: 0 });
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    channel.send({ op: 'close' });
    await world.clock.advance(2047);
    expect(channel.takeResponses()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takeResponses()).toHaveLength(1);
    expect(world.device.heard()).toHaveLength(BUFFER_BYTES);
  });

  test('is cut short by a frontend that leaves', async () => {
    const { world, channel } = await filled();
    await channel.trigger('start');
    channel.send({ op: 'close' });
    await world.guest.setState('5');
    expect(await world.guest.backendState()).toBe('2');
    expect(world.machine.leaks().filter((leak) => /domain 0: (mapping|\d+ pending)/.test(leak))).toEqual([]);
  });
});

test('STOP plays up to its own moment: what was heard in the middle of a period is kept', async () => {
  const { world, channel } = await filled();
  await channel.trigger('start');
  await world.clock.advance(300);
  await channel.trigger('stop');
  await channel.close();
  expect(Buffer.from(world.device.heard())).toEqual(Buffer.from(noise(BUFFER_BYTES).subarray(0, 1200)));
});
