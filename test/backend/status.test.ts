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
        {
          ...{ type: 'playback', device: 0, stream: 0, target: world.device.description, open: undefined },
          // Xen itself notifies a port that is bound.
          totals: { requests: 0, notifications: 1, idleNotifications: 1, frames: 0, xruns: 0 },
        },
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

test('totals: over every OPEN and STOP, as long as the guest is connected', async () => {
  const world = await createWorld({ pcmDevices: [{ streams: [PLAYBACK] }] });
  const { channel, buffer } = await world.openStream({ bufferBytes: 8192 });
  const totals = () => world.backend.status[0]?.streams[0]?.totals;
  const playUntilDry = async () => {
    await channel.write(0, 8192);
    await channel.trigger('start');
    await world.clock.advance(3000);
    await channel.write(0, 4096); // an underrun
    await world.clock.advance(2000);
    await channel.trigger('stop');
  };
  await playUntilDry();
  expect(totals()).toMatchObject({ requests: 5, frames: 3072, xruns: 1 });
  await playUntilDry();
  expect(totals()).toMatchObject({ requests: 9, frames: 6144, xruns: 2 });
  await channel.close();
  expect(totals()).toMatchObject({ requests: 10, frames: 6144, xruns: 2 });
  await channel.open(buffer, { bufferBytes: 8192 });
  await playUntilDry();
  expect(totals()).toMatchObject({ requests: 15, frames: 9216, xruns: 3 });
});

test('notifications behind which nothing is are counted', async () => {
  const world = await createWorld();
  const channel = await world.guest.connectOne();
  const totals = () => world.backend.status[0]?.streams[0]?.totals;
  for (let round = 0; round < 3; round++) {
    channel.ringPort.notify();
    await world.machine.settle();
    await world.clock.advance(48_000);
  }
  await channel.trigger('stop');
  expect(totals()).toMatchObject({ requests: 1, notifications: 5, idleNotifications: 4 });
});
