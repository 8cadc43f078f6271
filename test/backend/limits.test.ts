import { expect, test } from 'vitest';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { BUFFER_BYTES, noise } from './raw-frontend.ts';
import { useWorlds } from './world.ts';

const startWorld = useWorlds();

test('a guest that raises its own buffer-size makes the backend hold no more than 16 MiB', async () => {
  const world = await startWorld({ fields: { 'buffer-size': '4294967295' } });
  const channel = await world.guest.connectOne();
  const buffer = await world.guest.createBuffer(4096);
  expect(await channel.open(buffer, { bufferBytes: (16 << 20) + 4096 })).toBe(-XenErrno.EINVAL);
  expect(world.takeLog().join()).toContain('allowed: 4 to 16777216');
});

test('a guest cannot fill the log: after 100 lines one says that no more will follow', async () => {
  const world = await startWorld();
  const channel = await world.guest.connectOne();
  world.takeLog();
  for (let n = 0; n < 150; n++) expect(await channel.write(0, 4)).toBe(-XenErrno.EBADFD);
  const log = world.takeLog();
  expect(log).toHaveLength(100);
  expect(log.at(-1)).toMatch(/what follows is not logged any more$/);
});

test('STOP plays up to its own moment: what was heard in the middle of a period is kept', async () => {
  const world = await startWorld();
  const { channel, buffer } = await world.openStream();
  const octets = noise(BUFFER_BYTES);
  buffer.put(0, octets);
  await channel.write(0, BUFFER_BYTES);
  await channel.trigger('start');
  await world.clock.advance(300);
  await channel.trigger('stop');
  await channel.close();
  expect(Buffer.from(world.device.heard())).toEqual(Buffer.from(octets.subarray(0, 1200)));
});
