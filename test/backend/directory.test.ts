import { describe, expect, test } from 'vitest';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { PAGE_SIZE } from '../../src/xen/hypervisor.ts';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, type RawBuffer, type RawChannel } from './raw-frontend.ts';
import { useWorlds, type World } from './world.ts';

const startWorld = useWorlds();

const { EINVAL, EPERM, EACCES } = XenErrno;

async function connected(fields: Record<string, string> = {}) {
  const world = await startWorld({ fields });
  const channel = await world.guest.connectOne();
  return { world, channel, guest: world.guest };
}

/** Refused with `status`; nothing of the buffer is held then, and a good OPEN works afterwards. */
async function expectRefused(world: World, channel: RawChannel, buffer: RawBuffer, status: number) {
  const before = world.machine.leaks();
  expect(await channel.open(buffer)).toBe(status);
  expect(world.machine.leaks()).toEqual(before);
  expect(await channel.open(await world.guest.createBuffer(BUFFER_BYTES))).toBe(0);
}

describe('the page directory', () => {
  test('may have no first page', async () => {
    const { world, channel, guest } = await connected();
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    expect(await channel.open(buffer, { directoryGref: 0 })).toBe(-EINVAL);
    expect(world.takeLog().join()).toContain('the page directory ends after 0 of 2 pages');
    expect(await channel.open(buffer)).toBe(0);
  });

  test.each([1, 77, 0x7fff_ffff, 0xffff_ffff])(
    'may begin with a grant that is not there: %i',
    async (gref) => {
      const { channel, guest } = await connected();
      const buffer = await guest.createBuffer(BUFFER_BYTES);
      expect(await channel.open(buffer, { directoryGref: gref })).toBe(-EINVAL);
      expect(await channel.open(buffer)).toBe(0);
    },
  );

  test.each([0, 1])('may name no page at number %i', async (index) => {
    const { world, channel, guest } = await connected();
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    buffer.directory.store32(4 * (index + 1), 0);
    await expectRefused(world, channel, buffer, -EINVAL);
    expect(world.log.join()).toContain(`names no page for number ${index} of 2`);
  });

  test.each([77, 0xffff_ffff])('may name a page that is not granted: %i', async (gref) => {
    const { world, channel, guest } = await connected();
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    buffer.directory.store32(8, gref);
    await expectRefused(world, channel, buffer, -EINVAL);
  });

  test('may name a page granted to somebody else', async () => {
    const { world, channel, guest } = await connected();
    const other = world.machine.createDomain();
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    const page = await guest.grant(1, { domid: other.domid });
    buffer.directory.store32(8, page.grefs[0] ?? 0);
    await expectRefused(world, channel, buffer, -EPERM);
  });

  test('may itself be granted to somebody else', async () => {
    const { world, channel, guest } = await connected();
    const other = world.machine.createDomain();
    const page = await guest.grant(1, { domid: other.domid });
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    expect(await channel.open(buffer, { directoryGref: page.grefs[0] ?? 0 })).toBe(-EPERM);
  });

  test('may name a page granted for reading only', async () => {
    const { world, channel, guest } = await connected();
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    const page = await guest.grant(1, { access: 'read-only' });
    buffer.directory.store32(8, page.grefs[0] ?? 0);
    await expectRefused(world, channel, buffer, -EACCES);
  });

  test('may say more behind its end, which nobody reads', async () => {
    const { channel, guest } = await connected();
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    buffer.directory.store32(0, 0xffff_ffff);
    buffer.directory.store32(12, 0xffff_ffff);
    expect(await channel.open(buffer)).toBe(0);
  });

  test('may have its grants ended once OPEN is answered', async () => {
    const { world, channel, guest } = await connected();
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    buffer.put(0, noise(BUFFER_BYTES));
    expect(await channel.open(buffer)).toBe(0);
    await buffer.directory.release();
    await buffer.pages.release();
    expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
    await channel.trigger('start');
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(world.device.heard()).toEqual(Buffer.from(noise(BUFFER_BYTES)));
  });
});

describe('a directory of several pages', () => {
  const SIZE = 1025 * PAGE_SIZE + 8; // 1026 pages: two of the directory
  const fields = { 'buffer-size': String(2 * SIZE) };

  async function bigBuffer() {
    const world = await startWorld();
    const guest = await world.addGuestWithPages(3000, fields);
    const channel = await guest.connectOne();
    return { world, channel, buffer: await guest.createBuffer(SIZE) };
  }

  test('is followed from page to page', async () => {
    const { world, channel, buffer } = await bigBuffer();
    const bytes = noise(SIZE);
    buffer.put(0, bytes);
    expect(await channel.open(buffer, { bufferBytes: SIZE, periodBytes: 0 })).toBe(0);
    expect(await channel.write(0, SIZE)).toBe(0);
    await channel.trigger('start');
    await world.clock.advance(SIZE / 4);
    expect(Buffer.compare(world.device.heard(), bytes)).toBe(0);
  });

  test('may end early', async () => {
    const { world, channel, buffer } = await bigBuffer();
    buffer.directory.store32(0, 0);
    expect(await channel.open(buffer, { bufferBytes: SIZE })).toBe(-EINVAL);
    expect(world.takeLog().join()).toContain('the page directory ends after 1023 of 1026 pages');
  });

  test('may run in a circle', async () => {
    const { world, channel, buffer } = await bigBuffer();
    buffer.directory.store32(0, buffer.directoryGref);
    expect(await channel.open(buffer, { bufferBytes: SIZE })).toBe(-EINVAL);
    expect(world.takeLog().join()).toContain('comes back to its page');
  });

  test('may go on where nothing is granted', async () => {
    const { channel, buffer } = await bigBuffer();
    buffer.directory.store32(0, 0xffff_fff0);
    expect(await channel.open(buffer, { bufferBytes: SIZE })).toBe(-EINVAL);
    buffer.directory.store32(0, buffer.directory.grefs[1] ?? 0);
    expect(await channel.open(buffer, { bufferBytes: SIZE })).toBe(0);
  });
});

describe('a hypervisor that fails during OPEN', () => {
  test.each([
    ['the directory', 0],
    ['the buffer', 1],
  ])('when it maps %s', async (_name, after) => {
    const { world, channel, guest } = await connected();
    const buffer = await guest.createBuffer(BUFFER_BYTES);
    world.machine.faults.failOperations({ domid: 0, operation: 'map', after, errno: 'ENOMEM' });
    await expectRefused(world, channel, buffer, -XenErrno.ENOMEM);
  });
});
