import { expect, test } from 'vitest';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { BUFFER_BYTES, noise } from './raw-frontend.ts';
import { useWorlds } from './world.ts';

const startWorld = useWorlds();

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
