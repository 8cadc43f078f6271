import { expect, test } from 'vitest';
import { startTestGuest } from '../../src/testing.ts';
import { openRequest, RawFrontend } from '../backend/raw-frontend.ts';
import { noise } from '../sound.ts';

test('a test guest with a capture stream captures what its device is told, at the clock’s pace', async () => {
  const guest = await startTestGuest({ capture: true });
  const frontend = await RawFrontend.create(guest.machine.startProcess(1));
  const [playback, capture] = await frontend.connect(['0/0', '0/1']);
  expect(await frontend.backendState()).toBe('4');
  const buffer = await frontend.createBuffer(8192);
  expect(await playback?.read(0, 4)).toBe(-22);
  expect(await capture?.status(openRequest(buffer))).toBe(0);
  guest.device.say(noise(1000));
  guest.device.say(noise(1000, 2));
  expect(await capture?.trigger('start')).toBe(0);
  await guest.clock.advance(512);
  expect(await capture?.read(0, 2048)).toBe(0);
  const silence = Buffer.alloc(48);
  expect(Buffer.from(buffer.read(0, 2048))).toEqual(Buffer.concat([noise(1000), noise(1000, 2), silence]));
  await guest.backend.close();
  await frontend.release();
  await guest.close();
});

test('a test guest has one playback stream where it is told nothing', async () => {
  const guest = await startTestGuest();
  const frontend = await RawFrontend.create(guest.machine.startProcess(1));
  expect(await frontend.xenstore.directory(`${frontend.path}/0`)).toEqual(['0']);
  await frontend.release();
  await guest.close();
});
