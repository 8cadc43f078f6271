import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RealClock } from '../../src/clock.ts';
import { ControlClient } from '../../src/control/client.ts';
import { findEmulatedOwner } from '../../src/control/find.ts';
import { openCard } from '../../src/open-card.ts';
import { startGuest } from '../frontend/setup.ts';
import { useDirectory } from '../wav/files.ts';

const files = useDirectory();
const format = { rate: 48_000, channels: 2, format: 's16_le' } as const;

beforeEach(() => vi.stubEnv('VSND_CONTROL_DIR', files.path('control')));
afterEach(() => vi.unstubAllEnvs());

test('a card on a machine of its own is not controlled, unless that is asked for', async () => {
  const { hypervisor } = await startGuest();
  const card = await openCard({ hypervisor });
  expect(existsSync(files.path('control'))).toBe(false);
  await card.close();
});

test('with control: true the owner is found, until the card is closed', async () => {
  const { hypervisor } = await startGuest();
  const card = await openCard({ hypervisor, control: true });
  expect(readdirSync(files.path('control'))).toEqual([`emulated-${process.pid}.sock`]);
  const client = await findEmulatedOwner(new RealClock());
  expect(await client.request('status', {})).toMatchObject({
    pid: process.pid,
    card: { devid: 0, backendDomid: 0, connected: true },
    streams: [],
  });
  await card.close();
  await client.closed;
  expect(readdirSync(files.path('control'))).toEqual([]);
});

test('what is asked reaches the streams, and the backend', async () => {
  const guest = await startGuest({ capture: true });
  const { hypervisor, machine, clock, device } = guest;
  const card = await openCard({ hypervisor, control: files.path('control/mine.sock') });
  const client = await ControlClient.connect(files.path('control/mine.sock'), new RealClock());
  const out = card.createPlaybackStream(format);
  out.write(Buffer.alloc(12_000 * 4, Uint8Array.of(0, 0x40)));
  await machine.settle();
  await clock.advance(2400);

  const playback = { type: 'playback', device: 0, stream: 0 } as const;
  const { streams } = await client.request('status', {});
  expect(streams).toEqual([
    {
      ...playback,
      ...format,
      state: 'running',
      position: out.position,
      latency: out.latency,
      bufferFrames: out.bufferFrames,
      periodFrames: out.periodFrames,
      xruns: 0,
      estimatedXruns: 0,
      clock: expect.objectContaining({ frames: expect.any(Number), errorFrames: expect.any(Number) }),
      muted: [false, false],
    },
  ]);
  expect(out.position).toBeGreaterThan(0);

  expect(await client.request('setVolume', { volume: [-6, -20] })).toEqual([playback]);
  expect(await client.request('getVolume', {})).toEqual([{ ...playback, volume: [-6, -20] }]);
  await client.request('mute', { channels: [1] });
  expect(out.muted).toEqual([false, true]);
  await client.request('trigger', { trigger: 'pause' });
  expect(out.state).toBe('paused');
  await client.request('trigger', { trigger: 'resume' });
  const [answer] = await client.request('setVolume', { volume: [0, 0, 0] });
  expect(answer?.error).toMatchObject({ code: 'ERR_VSND_INVALID_ARG' });

  out.end();
  await clock.advance(24_000);
  const heard = new Int16Array(device.heard().slice().buffer);
  expect([heard[0], heard[1]]).toEqual([0x4000, 0x4000]);
  expect(heard.at(-1)).toBe(0);
  expect(heard.at(-2)).toBeCloseTo(0x4000 * 10 ** (-6 / 20), -2);
  await client.close();
  await card.close();
});

test('a socket that cannot be made keeps no card from being opened', async () => {
  const { hypervisor } = await startGuest();
  const card = await openCard({ hypervisor, control: files.path('none/at/all.sock') });
  expect(card.connected).toBe(true);
  await card.close();
});

test.each([5, null, '', {}])('control: %j is refused', async (control) => {
  const { hypervisor } = await startGuest();
  await expect(openCard({ hypervisor, control: control as never })).rejects.toMatchObject({
    code: 'ERR_VSND_INVALID_ARG',
    option: 'control',
  });
});
