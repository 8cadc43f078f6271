import { describe, expect, test } from 'vitest';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, PERIOD_BYTES } from './raw-frontend.ts';
import { PLAYBACK, useWorlds, type World, type WorldOptions } from './world.ts';

const startWorld = useWorlds();

const PERIOD = 256; // frames
const IN_CONS = 0;

async function playing(options: WorldOptions = {}, changes = {}, bytes = BUFFER_BYTES) {
  const world = await startWorld(options);
  const { channel, buffer } = await world.openStream(changes);
  expect(await channel.write(0, bytes)).toBe(0);
  expect(await channel.trigger('start')).toBe(0);
  return { world, channel, buffer };
}

describe('when a position is sent', () => {
  test('once a period, at its end, not a frame earlier', async () => {
    const { world, channel } = await playing();
    for (let period = 1; period <= 8; period++) {
      await world.clock.advance(PERIOD - 1);
      expect(channel.takePositions()).toEqual([]);
      await world.clock.advance(1);
      expect(channel.takePositions()).toEqual([period * PERIOD_BYTES]);
    }
    await world.clock.advance(10_000);
    expect(channel.takePositions()).toEqual([]);
  });

  test('with a notification for each', async () => {
    const { world, channel } = await playing();
    await world.clock.advance(10);
    const before = channel.notified.events;
    for (let period = 1; period <= 4; period++) {
      await world.clock.advance(PERIOD);
      expect(channel.notified.events - before).toBe(period);
    }
  });

  test('all of them, in order, when the clock runs through several periods', async () => {
    const { world, channel } = await playing();
    await world.clock.advance(PERIOD * 5 + 100);
    expect(channel.takePositions()).toEqual([1, 2, 3, 4, 5].map((period) => period * PERIOD_BYTES));
  });

  test('at once when the data is played, in the middle of a period', async () => {
    const { world, channel } = await playing({}, {}, PERIOD_BYTES + 400);
    await world.clock.advance(PERIOD + 99);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES + 400]);
  });

  test('once, not twice, when the data ends with a period', async () => {
    const { world, channel } = await playing({}, {}, PERIOD_BYTES);
    await world.clock.advance(PERIOD * 3);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });

  test('after running dry, the next one comes at the period’s end in the stream, not in time', async () => {
    const { world, channel } = await playing({}, {}, 400);
    await world.clock.advance(1000);
    expect(channel.takePositions()).toEqual([400]);
    await channel.write(0, PERIOD_BYTES);
    await world.clock.advance(PERIOD - 101);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
    await world.clock.advance(100);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES + 400]);
  });

  test('never for period 0', async () => {
    const { world, channel } = await playing({}, { periodBytes: 0 });
    await world.clock.advance(100_000);
    expect(world.device.heard()).toHaveLength(BUFFER_BYTES);
    expect(channel.takeEvents()).toEqual([]);
    expect(channel.notified.events).toBeLessThanOrEqual(1); // the one that binding the port raises
  });

  test('never before START', async () => {
    const world = await startWorld();
    const { channel } = await world.openStream();
    await channel.write(0, BUFFER_BYTES);
    await world.clock.advance(100_000);
    expect(channel.takeEvents()).toEqual([]);
    expect(world.device.heard()).toHaveLength(0);
  });

  test('never while paused, nor after STOP, nor after CLOSE', async () => {
    const { world, channel } = await playing();
    await world.clock.advance(PERIOD);
    channel.takeEvents();
    await channel.trigger('pause');
    await world.clock.advance(100_000);
    expect(channel.takeEvents()).toEqual([]);
    await channel.trigger('stop');
    expect(channel.takePositions()).toEqual([0]);
    await world.clock.advance(100_000);
    expect(channel.takeEvents()).toEqual([]);
    await channel.close();
    await world.clock.advance(100_000);
    expect(channel.takeEvents()).toEqual([]);
  });

  test('at the rate of the stream', async () => {
    const { world, channel } = await playing({}, { rate: 8000 });
    await world.clock.advance(PERIOD - 1, 8000);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1, 8000);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });

  test('with a period of two and a half frames: once for each that is passed', async () => {
    const { world, channel } = await playing({}, { periodBytes: 10 }, 120);
    await world.clock.advance(30);
    const positions = channel.takePositions();
    expect(positions.every((position) => position % 4 === 0)).toBe(true);
    const periods = positions.map((position) => Math.floor(position / 10));
    expect(new Set(periods).size).toBe(positions.length);
    expect(positions.at(-1)).toBe(120);
  });

  test('every frame, with a period of one', async () => {
    const { world, channel } = await playing({}, { periodBytes: 4 }, 40);
    await world.clock.advance(10);
    expect(channel.takePositions()).toEqual([4, 8, 12, 16, 20, 24, 28, 32, 36, 40]);
  });
});

describe('what a position counts', () => {
  test('all bytes since OPEN, over any number of refills', async () => {
    const { world, channel } = await playing();
    const positions: number[] = [];
    for (let period = 0; period < 100; period++) {
      await world.clock.advance(PERIOD);
      positions.push(...channel.takePositions());
      await channel.write((period % 8) * PERIOD_BYTES, PERIOD_BYTES);
    }
    expect(positions).toEqual(Array.from({ length: 100 }, (_, index) => (index + 1) * PERIOD_BYTES));
  });

  test('from 0 again after STOP and START', async () => {
    const { world, channel } = await playing();
    await world.clock.advance(PERIOD * 2 + 100);
    channel.takeEvents();
    await channel.trigger('stop');
    expect(channel.takePositions()).toEqual([0]); // at once: a frontend may keep its own over STOP
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(PERIOD - 1);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });

  test('from 0 again after STOP in the middle of a period that had run dry', async () => {
    const { world, channel } = await playing({}, {}, 400);
    await world.clock.advance(1000);
    expect(channel.takePositions()).toEqual([400]);
    await channel.trigger('stop');
    expect(channel.takePositions()).toEqual([0]);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(PERIOD - 1);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });

  test('from 0 again after CLOSE and OPEN', async () => {
    const { world, channel, buffer } = await playing();
    await world.clock.advance(PERIOD * 2 + 100);
    channel.takeEvents();
    await channel.trigger('stop');
    await channel.close();
    await channel.open(buffer);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(PERIOD);
    expect(channel.takePositions()).toEqual([0, PERIOD_BYTES]);
  });

  test('what a WRITE left that STOP overtook makes way for the buffer that follows', async () => {
    const { world, channel, buffer } = await playing();
    await world.clock.advance(PERIOD);
    await channel.trigger('stop');
    expect(await channel.write(0, PERIOD_BYTES)).toBe(0);
    const bytes = noise(BUFFER_BYTES, 9);
    buffer.put(0, bytes);
    expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
    await channel.trigger('start');
    await world.clock.advance(100_000);
    expect(Buffer.from(world.device.heard()).subarray(-BUFFER_BYTES)).toEqual(Buffer.from(bytes));
    expect(channel.takePositions().at(-1)).toBe(BUFFER_BYTES);
  });
});

describe('event ids', () => {
  test('count from 0 for each connection, not for each OPEN', async () => {
    const { world, channel, buffer } = await playing();
    await world.clock.advance(PERIOD * 3);
    expect(channel.takeEvents().map(({ id }) => id)).toEqual([0, 1, 2]);
    await channel.trigger('stop');
    await channel.close();
    await channel.open(buffer);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(PERIOD * 2);
    expect(channel.takeEvents().map(({ id }) => id)).toEqual([3, 4, 5]);
    await world.guest.setState('5');
    const again = await world.guest.connectOne();
    await again.open(buffer);
    await again.write(0, BUFFER_BYTES);
    await again.trigger('start');
    await world.clock.advance(PERIOD);
    expect(again.takeEvents().map(({ id }) => id)).toEqual([0]);
  });

  test('wrap at 65536', async () => {
    const world = await startWorld({ fields: { 'buffer-size': '262144' } });
    const bufferBytes = 262_144;
    const { channel } = await world.openStream({ bufferBytes, periodBytes: 4 });
    await channel.write(0, bufferBytes);
    await channel.trigger('start');
    const ids: number[] = [];
    while (ids.length < 65_545) {
      await world.clock.advance(60);
      ids.push(...channel.takeEvents().map(({ id }) => id));
      expect(await channel.write(0, 240)).toBe(0);
    }
    expect(ids.slice(65_530, 65_545)).toEqual([
      65530, 65531, 65532, 65533, 65534, 65535, 0, 1, 2, 3, 4, 5, 6, 7, 8,
    ]);
  }, 60_000);
});

describe('a frontend that does not take its events', () => {
  test('loses those that have no room, and nothing else: snd_xen_front would ignore all that is behind a gap of ids', async () => {
    const world = await startWorld();
    const { channel } = await world.openStream({ periodBytes: 4 });
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(100);
    expect(world.log.filter((line) => line.includes('the event ring is full'))).toHaveLength(37);
    const events = channel.takeEvents();
    expect(events).toHaveLength(63);
    expect(events.at(-1)).toEqual({ id: 62, position: 63n * 4n });
    await world.clock.advance(2);
    expect(channel.takeEvents()).toEqual([
      { id: 63, position: 404n },
      { id: 64, position: 408n },
    ]);
    await world.clock.advance(2048);
    expect(world.device.heard()).toHaveLength(BUFFER_BYTES);
    expect(await channel.trigger('stop')).toBe(0);
  });
});

describe('an in_cons that cannot be', () => {
  async function corrupted(value: (inProd: number) => number) {
    const world: World = await startWorld({ pcmDevices: [{ streams: [PLAYBACK, PLAYBACK] }] });
    const [bad, good] = await world.guest.connect(['0/0', '0/1']);
    if (bad === undefined || good === undefined) throw new Error('no channels');
    for (const channel of [bad, good]) {
      await channel.open(await world.guest.createBuffer(BUFFER_BYTES));
      await channel.write(0, BUFFER_BYTES);
      await channel.trigger('start');
    }
    await world.clock.advance(PERIOD * 2);
    bad.eventPage.store32(IN_CONS, value(2));
    good.takeEvents();
    await world.clock.advance(PERIOD * 2);
    return { world, bad, good };
  }

  test.each([
    ['behind by more than a ring', (inProd: number) => (inProd - 64) >>> 0],
    ['ahead of what was produced', (inProd: number) => inProd + 1],
    ['2^31', () => 0x8000_0000],
  ])('%s ends that stream, and only that one', async (_name, value) => {
    const { world, bad, good } = await corrupted(value);
    expect(world.takeLog().join()).toContain("1/0: stream 0/0: the frontend's in_cons");
    bad.send({ op: 'close' });
    await world.machine.settle();
    expect(bad.takeResponses()).toEqual([]);
    expect(good.takePositions()).toEqual([3072, 4096]);
    expect(await world.guest.backendState()).toBe('4');
    // The device has stopped, and holds neither timer nor buffer.
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2 pages'))).toHaveLength(1);
    expect(world.machine.leaks()).toContain('domain 0: 1 pending timers');
    await world.clock.advance(PERIOD * 100);
    expect(await good.trigger('stop')).toBe(0);
    await world.guest.setState('5');
    await world.guest.connect(['0/0', '0/1']);
    expect(await world.guest.backendState()).toBe('4');
  });

  test('is found also when the position is the last one of a CLOSE', async () => {
    const world = await startWorld();
    const { channel } = await world.openStream();
    await channel.write(0, 400);
    await channel.trigger('start');
    channel.send({ op: 'close' });
    channel.eventPage.store32(IN_CONS, 77);
    await world.clock.advance(1000);
    expect(world.takeLog().join()).toContain("the frontend's in_cons");
    expect(world.machine.leaks().filter((leak) => /domain 0: .*(timer|of 2 pages)/.test(leak))).toEqual([]);
  });
});
