import { describe, expect, test } from 'vitest';
import { CAPTURE, useWorlds } from '../backend/world.ts';
import { FRAME, noise } from '../sound.ts';
import { KernelDriver } from './kernel-driver.ts';

const SECOND = 48_000;
const SIZES = [
  { bufferFrames: 8192, periodFrames: 2048 },
  { bufferFrames: 8192, periodFrames: 4096 },
  { bufferFrames: 2048, periodFrames: 128 },
] as const;

const startWorld = useWorlds();
const capturing = () => startWorld({ pcmDevices: [{ streams: [CAPTURE] }] });

/** What snd_xen_front expects of a backend, asked of ours. */
describe.each(SIZES)('snd_xen_front in periods of $periodFrames of $bufferFrames frames', (sizes) => {
  test('plays every frame', async () => {
    const world = await startWorld();
    const driver = await KernelDriver.open(world, sizes);
    const source = noise(2 * SECOND * FRAME);
    await driver.play(source);
    await driver.close();
    const heard = Buffer.from(world.device.heard());
    expect(heard.subarray(0, source.length).equals(source)).toBe(true);
    expect(driver.counts.xruns).toBe(0);
  });

  test('plays on after it stood still, and the buffer ran dry', async () => {
    const world = await startWorld();
    const driver = await KernelDriver.open(world, sizes);
    const source = noise(SECOND * FRAME);
    await driver.play(source, new Map([[8, 3 * SECOND]]));
    await driver.close();
    const last = Buffer.from(source.subarray(-SECOND)); // a quarter of it
    expect(Buffer.from(world.device.heard()).includes(last)).toBe(true);
  });

  test('records every frame', async () => {
    const world = await capturing();
    const source = noise(3 * SECOND * FRAME);
    world.device.say(source);
    const driver = await KernelDriver.open(world, sizes);
    const heard = await driver.record(2 * SECOND);
    await driver.close();
    expect(heard.equals(source.subarray(0, heard.length))).toBe(true);
  });

  test('records on after it stood still for longer than the event page lasts', async () => {
    const world = await capturing();
    world.device.say(noise(20 * SECOND * FRAME));
    const driver = await KernelDriver.open(world, sizes);
    await driver.record(SECOND, new Map([[4, 80 * sizes.periodFrames]]));
    await driver.close();
    expect([driver.isFrozen, driver.counts.xruns]).toEqual([false, 1]);
  });
});
