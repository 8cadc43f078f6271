import { describe, expect, test } from 'vitest';
import { RING_SIZE } from '../../src/wire/ring.ts';
import type { SndifRequest } from '../../src/wire/sndif.ts';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, openRequest, PERIOD_BYTES, type RawChannel } from './raw-frontend.ts';
import { PLAYBACK, useWorlds } from './world.ts';

const startWorld = useWorlds();

const REQ_PROD = 0;
const REQ_EVENT = 4;
const RSP_PROD = 8;
const RSP_EVENT = 12;

const CLOSE: SndifRequest = { op: 'close' };

describe('many requests', () => {
  test('32 at once, each answered, in order, with one notification', async () => {
    const { guest } = await startWorld();
    const channel = await guest.connectOne();
    const before = channel.notified.ring;
    channel.send(...new Array<SndifRequest>(RING_SIZE).fill(CLOSE));
    await guest.settle();
    expect(channel.takeResponses().map(({ id }) => id)).toEqual([...Array(RING_SIZE).keys()]);
    expect(channel.notified.ring - before).toBe(1);
  });

  test('a whole stream in one notification', async () => {
    const world = await startWorld();
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(BUFFER_BYTES);
    buffer.put(0, noise(BUFFER_BYTES));
    channel.send(
      openRequest(buffer),
      { op: 'write', offset: 0, length: PERIOD_BYTES },
      { op: 'trigger', trigger: 'start' },
      { op: 'write', offset: PERIOD_BYTES, length: PERIOD_BYTES },
      CLOSE,
      CLOSE,
      openRequest(buffer),
      { op: 'write', offset: 0, length: BUFFER_BYTES },
    );
    await world.guest.settle();
    expect(channel.takeResponses().map(({ status }) => status)).toEqual([0, 0, 0, 0]);
    await world.clock.advance(511);
    expect(channel.takeResponses()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takeResponses().map(({ id, status }) => [id, status])).toEqual([
      [4, 0],
      [5, 0],
      [6, 0],
      [7, 0],
    ]);
    expect(world.device.heard(0)).toEqual(Buffer.from(noise(BUFFER_BYTES).slice(0, 2 * PERIOD_BYTES)));
  });

  test('that come while one is being drained are answered after it, in order', async () => {
    const world = await startWorld();
    const { channel } = await world.openStream();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    channel.send(CLOSE);
    for (let count = 0; count < 10; count++) {
      await world.clock.advance(100);
      channel.send({ op: 'trigger', trigger: 'stop' });
      expect(channel.takeResponses()).toEqual([]);
    }
    await world.clock.advance(2048);
    const responses = channel.takeResponses();
    expect(responses.map(({ operation }) => operation)).toEqual([1, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]);
    expect(responses[0]?.status).toBe(0);
    expect(responses.slice(1).every(({ status }) => status === -77)).toBe(true);
  });

  test('hundreds, so that the ring goes round and round', async () => {
    const { guest } = await startWorld();
    const channel = await guest.connectOne();
    for (let round = 0; round < 40; round++) {
      const count = (round % RING_SIZE) + 1;
      channel.send(...new Array<SndifRequest>(count).fill(CLOSE));
      await guest.settle();
      expect(channel.takeResponses()).toHaveLength(count);
    }
  });
});

describe('notifications', () => {
  test('the backend asks to be told of the next request only', async () => {
    const { guest } = await startWorld();
    const channel = await guest.connectOne();
    expect(await channel.close()).toBe(0);
    expect(channel.ringPage.load32(REQ_EVENT)).toBe(2);
    expect(channel.send(CLOSE)).toBe(true);
    expect(channel.send(CLOSE)).toBe(false); // it has been told, and will find this one
    await guest.settle();
    expect(channel.takeResponses()).toHaveLength(2);
  });

  test('none is sent for a response that the frontend does not wait for', async () => {
    const { guest } = await startWorld();
    const channel = await guest.connectOne();
    await channel.close();
    const before = channel.notified.ring;
    channel.ringPage.store32(RSP_EVENT, 5);
    channel.send(CLOSE, CLOSE);
    await guest.settle();
    expect(channel.notified.ring).toBe(before);
    expect(channel.ringPage.load32(RSP_PROD)).toBe(3);
    channel.send(CLOSE, CLOSE);
    await guest.settle();
    expect(channel.notified.ring).toBe(before + 1);
  });

  test('one too many harms nobody, one too few delays', async () => {
    const world = await startWorld();
    const channel = await world.guest.connectOne();
    for (let count = 0; count < 100; count++) channel.ringPort.notify();
    await world.guest.settle();
    expect(channel.takeResponses()).toEqual([]);
    world.machine.faults.loseNotifications({ domid: 0 });
    channel.send(CLOSE);
    await world.guest.settle();
    expect(channel.takeResponses()).toEqual([]);
    channel.ringPort.notify();
    await world.guest.settle();
    expect(channel.takeResponses()).toHaveLength(1);
  });

  test('requests that were in the ring before the backend bound it are answered', async () => {
    const { guest } = await startWorld();
    const channel = await guest.createChannel();
    channel.send(CLOSE, CLOSE);
    await guest.publish('0/0', channel.transport);
    await guest.setState('3');
    expect(channel.takeResponses()).toHaveLength(2);
  });

  test('the frontend’s event channel may notify as it likes', async () => {
    const { guest } = await startWorld();
    const channel = await guest.connectOne();
    channel.eventPort.notify();
    expect(await channel.close()).toBe(0);
  });
});

describe('a req_prod that cannot be', () => {
  const BAD = [
    ['33 ahead', 33],
    ['2^31', 0x8000_0000],
    ['one behind', 0xffff_ffff],
    ['far ahead', 0x7fff_ffff],
  ] as const;

  test.each(BAD)('%s ends that stream, and only that one', async (_name, jump) => {
    const world = await startWorld({ pcmDevices: [{ streams: [PLAYBACK, PLAYBACK] }] });
    const [bad, good] = await world.guest.connect(['0/0', '0/1']);
    if (bad === undefined || good === undefined) throw new Error('no channels');
    const start = async (channel: RawChannel, seed: number) => {
      const buffer = await world.guest.createBuffer(BUFFER_BYTES);
      buffer.put(0, noise(BUFFER_BYTES, seed));
      await channel.open(buffer);
      await channel.write(0, BUFFER_BYTES);
      await channel.trigger('start');
    };
    await start(bad, 1);
    await start(good, 2);
    await world.clock.advance(300);
    bad.ringPage.store32(REQ_PROD, (3 + jump) >>> 0);
    bad.ringPort.notify();
    await world.guest.settle();
    expect(world.takeLog().join()).toContain("1/0: stream 0/0: the frontend's req_prod");
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2 pages'))).toHaveLength(1);
    bad.takeEvents();
    await world.clock.advance(2048);
    expect(world.device.heard(0)).toHaveLength(1024);
    expect(world.device.heard(1)).toEqual(Buffer.from(noise(BUFFER_BYTES, 2)));
    expect(bad.takeEvents()).toEqual([]);
    expect(good.takePositions()).toHaveLength(8);

    // For good: also a repaired index is not looked at any more, and the log stays quiet.
    bad.ringPage.store32(REQ_PROD, 4);
    for (let count = 0; count < 10; count++) bad.ringPort.notify();
    await world.guest.settle();
    expect(bad.takeResponses()).toEqual([]);
    expect(world.takeLog()).toEqual([]);
    expect(await good.close()).toBe(0);
    expect(await world.guest.backendState()).toBe('4');

    // Until the card is connected anew.
    await world.guest.setState('5');
    const [again] = await world.guest.connect(['0/0', '0/1']);
    expect(await again?.close()).toBe(0);
  });

  test('in the middle of a CLOSE that drains ends the stream once that is over', async () => {
    const world = await startWorld();
    const { channel } = await world.openStream();
    await channel.write(0, 400);
    await channel.trigger('start');
    channel.send(CLOSE);
    await world.guest.settle();
    channel.ringPage.store32(REQ_PROD, 500);
    channel.ringPort.notify();
    await world.clock.advance(1000);
    expect(world.takeLog().join()).toContain("the frontend's req_prod");
  });

  test('rsp_prod is the backend’s own: what the frontend writes there is not believed', async () => {
    const { guest } = await startWorld();
    const channel = await guest.connectOne();
    channel.ringPage.store32(RSP_PROD, 0x1234_5678);
    expect(await channel.close()).toBe(0);
    expect(channel.ringPage.load32(RSP_PROD)).toBe(1);
  });
});
