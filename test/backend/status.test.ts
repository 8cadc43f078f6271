import { expect, test } from 'vitest';
import { CAPTURE, PLAYBACK, useWorlds, type World } from './world.ts';

const createWorld = useWorlds();

/** What the guest does with its only stream. */
function openIn({ backend }: World) {
  return backend.status[0]?.streams[0]?.open;
}

test('a card is there before its guest connects, and again when that has left', async () => {
  const world = await createWorld({ fields: { 'long-name': 'Radio' } });
  expect(world.backend.status).toEqual([
    { domid: 1, devid: 0, name: undefined, connected: false, streams: [] },
  ]);
  await world.guest.connectOne();
  expect(world.backend.status).toEqual([
    {
      ...{ domid: 1, devid: 0, name: 'Radio', connected: true },
      streams: [
        { type: 'playback', device: 0, stream: 0, target: world.device.description, open: undefined },
      ],
    },
  ]);
  await world.guest.setState('1');
  await world.machine.settle();
  expect(world.backend.status).toMatchObject([{ name: 'Radio', connected: false, streams: [] }]);
});

test('a playback stream: position, what waits, and an underrun when it goes on', async () => {
  const world = await createWorld({ pcmDevices: [{ streams: [PLAYBACK] }] });
  const { channel } = await world.openStream({ bufferBytes: 8192 });
  const base = { rate: 48_000, channels: 2, format: 's16_le', bufferFrames: 2048 };
  expect(openIn(world)).toEqual({ ...base, state: 'stopped', position: 0, latency: 0, xruns: 0 });

  await channel.write(0, 8192);
  await channel.trigger('start');
  await world.clock.advance(1024);
  expect(openIn(world)).toEqual({ ...base, state: 'running', position: 1024, latency: 1024, xruns: 0 });
  await world.clock.advance(2048);
  // It may have been the end.
  expect(openIn(world)).toEqual({ ...base, state: 'running', position: 2048, latency: 0, xruns: 0 });
  await channel.write(0, 4096);
  expect(openIn(world)).toMatchObject({ state: 'running', latency: 1024, xruns: 1 });

  await world.clock.advance(2048);
  await channel.trigger('stop');
  await channel.write(0, 4096);
  expect(openIn(world)).toMatchObject({ state: 'stopped', position: 0, latency: 1024, xruns: 1 });
  await channel.close();
  expect(openIn(world)).toBe(undefined);
});

test('a capture stream: what has not been read, and one overrun however much is lost', async () => {
  const world = await createWorld({ pcmDevices: [{ streams: [CAPTURE] }] });
  const { channel } = await world.openStream({ bufferBytes: 8192 });
  await channel.trigger('start');
  await world.clock.advance(1024);
  expect(openIn(world)).toMatchObject({ state: 'running', position: 1024, latency: 1024, xruns: 0 });
  await world.clock.advance(4096);
  expect(openIn(world)).toMatchObject({ position: 5120, latency: 2048, xruns: 1 });
  await channel.read(0, 8192);
  expect(openIn(world)).toMatchObject({ latency: 0, xruns: 1 });
  await world.clock.advance(4096);
  expect(openIn(world)).toMatchObject({ latency: 2048, xruns: 2 });
});
