import { describe, expect, test } from 'vitest';
import { memoryDevice } from '../../src/backend/devices.ts';
import { nextTurn } from '../../src/clock.ts';
import { deferred } from '../../src/deferred.ts';
import { EVENT_RING_SIZE, EVENT_SIZE } from '../../src/wire/event-page.ts';
import { RING_SIZE } from '../../src/wire/ring.ts';
import { encodeCurPos } from '../../src/wire/sndif.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { openRequest, type RawChannel, type RawFrontend } from '../backend/raw-frontend.ts';
import { PLAYBACK, useWorlds, type World } from '../backend/world.ts';
import { type RawCard, withRawCard } from '../frontend/setup.ts';
import { type Deeds, type EventPageKeeper, eventPageOf, keepEventPages, keepRingsFull } from './peers.ts';

/** Far more than any turn may take, and not for ever: without a bound these tests fail, and end. */
const MANY = 20_000;

const createWorld = useWorlds();

/** Connects a guest whose rings are kept full from its first request on. */
async function addKeeper(world: World, streams: readonly string[] = ['0/0'], most = MANY): Promise<Keeper> {
  const guest = await world.addGuest({ pcmDevices: [{ streams: streams.map(() => PLAYBACK) }] });
  const deeds = keepRingsFull(world.machine.dom0, guest.domain.domid, most);
  const channels = await guest.connect(streams);
  await guest.setState('4');
  return {
    guest,
    deeds,
    start: () => channels.map((channel) => channel.send({ op: 'trigger', trigger: 'stop' })),
  };
}

interface Keeper {
  readonly guest: RawFrontend;
  readonly deeds: Deeds;
  start(): void;
}

/** Turns of the loop until a request of that channel is answered. */
async function turnsUntilAnswered(channel: RawChannel, most: number): Promise<number> {
  channel.send({ op: 'trigger', trigger: 'stop' });
  for (let turns = 1; turns <= most; turns++) {
    await nextTurn();
    if (channel.takeResponses().length > 0) return turns;
  }
  return Number.POSITIVE_INFINITY;
}

/** As many, a turn of the loop for each. */
async function storm(notify: () => void, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    notify();
    await nextTurn();
    await nextTurn();
  }
}

describe('a guest that keeps its ring full', () => {
  test('has no more than a ring of requests answered in a turn, and timers run', async () => {
    const world = await createWorld();
    const keeper = await addKeeper(world);
    let fired = false;
    const timer = setTimeout(() => {
      fired = true;
    }, 0);
    keeper.start();
    let before = 0;
    while (!fired || keeper.deeds.refills < 1000) {
      await nextTurn();
      expect(keeper.deeds.refills - before).toBeLessThanOrEqual(RING_SIZE);
      before = keeper.deeds.refills;
    }
    clearTimeout(timer);
    expect(keeper.deeds.refills).toBeLessThan(MANY);
    keeper.deeds.refills = MANY;
    await world.machine.settle();
  });

  test('keeps no other guest waiting, nor do ten of them', async () => {
    const world = await createWorld();
    const other = await world.guest.connectOne();
    const keepers: Keeper[] = [];
    for (let count = 0; count < 10; count++) keepers.push(await addKeeper(world));
    for (const keeper of keepers) keeper.start();
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    for (let round = 0; round < 20; round++)
      expect(await turnsUntilAnswered(other, 100)).toBeLessThanOrEqual(3);
    const answered = keepers.map(({ deeds }) => deeds.refills);
    expect(Math.max(...answered)).toBeLessThan(MANY);
    expect(Math.max(...answered) - Math.min(...answered)).toBeLessThanOrEqual(RING_SIZE);
    for (const { deeds } of keepers) deeds.refills = MANY;
    await world.machine.settle();
  });

  test('gets no more turns with eight streams than with one', async () => {
    const world = await createWorld();
    const one = await addKeeper(world);
    const eight = await addKeeper(
      world,
      Array.from({ length: 8 }, (_, index) => `0/${index}`),
    );
    one.start();
    eight.start();
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    expect(one.deeds.refills).toBeGreaterThan(1000);
    expect(one.deeds.refills).toBeLessThan(MANY);
    expect(Math.abs(one.deeds.refills - eight.deeds.refills)).toBeLessThanOrEqual(RING_SIZE);
    for (const { deeds } of [one, eight]) deeds.refills = MANY;
    await world.machine.settle();
  });

  test('can leave, and be left, at any time', async () => {
    const world = await createWorld();
    const keeper = await addKeeper(world, ['0/0'], Number.POSITIVE_INFINITY);
    keeper.start();
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    await world.backend.close();
    const { refills } = keeper.deeds;
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    expect(keeper.deeds.refills).toBe(refills);
  });
});

describe('notifications without end', () => {
  test('of a ring with nothing in it are looked into ever later, until something is', async () => {
    const world = await createWorld();
    const channel = await world.guest.connectOne();
    const totals = () => world.backend.status[0]?.streams[0]?.totals;
    await storm(() => channel.ringPort.notify(), 300);
    expect(totals()?.notifications).toBeLessThanOrEqual(5);
    await world.clock.advance(48_000 * 10);
    await storm(() => channel.ringPort.notify(), 300);
    expect(totals()?.notifications).toBeLessThanOrEqual(8);
    // Late, and not lost.
    channel.send({ op: 'trigger', trigger: 'stop' });
    await world.clock.advanceTime(256e6);
    expect(channel.takeResponses()).toHaveLength(1);
    // And at once again.
    for (let round = 0; round < 20; round++) await channel.trigger('stop');
  });

  test('while a request waits are nothing new', async () => {
    const opening = deferred();
    const world = await createWorld({
      device: (clock) => {
        const device = memoryDevice(clock);
        const openPlayback = async (...args: Parameters<typeof device.openPlayback>) => {
          await opening.promise;
          return await device.openPlayback(...args);
        };
        return { ...device, openPlayback };
      },
    });
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(8192);
    channel.send(openRequest(buffer));
    await storm(() => channel.ringPort.notify(), 300);
    expect(world.backend.status[0]?.streams[0]?.totals.notifications).toBeLessThanOrEqual(7);
    opening.resolve();
    await world.machine.settle();
    expect(channel.takeResponses()).toMatchObject([{ status: 0 }]);
  });
});

describe('a backend', () => {
  /** A card whose backend may do what it likes with the event page. */
  async function withEventPage(
    body: (raw: RawCard & { keeper: EventPageKeeper; gref: number }) => Promise<void>,
  ): Promise<void> {
    let keeper: EventPageKeeper | undefined;
    const prepare = (guest: EmulatedDomain) => {
      keeper = keepEventPages(guest);
    };
    await withRawCard(
      'p',
      async (raw) => {
        if (keeper === undefined) throw new Error('no page was granted');
        await body({ ...raw, keeper, gref: eventPageOf(raw.machine, raw.guest.domid) });
      },
      { prepare },
    );
  }

  test('that keeps the event page full has a page of events taken in a turn, and timers run', () =>
    withEventPage(async ({ backend, keeper, gref }) => {
      let fired = false;
      setTimeout(() => {
        fired = true;
      }, 0);
      keeper.keepFull(gref, MANY);
      backend.announceEvents(0);
      let before = 0;
      while (!fired || keeper.refills < 1000) {
        await nextTurn();
        expect(keeper.refills - before).toBeLessThanOrEqual(EVENT_RING_SIZE);
        before = keeper.refills;
      }
      expect(keeper.refills).toBeLessThan(MANY);
    }));

  test('that keeps it full for ever is left as any other', () =>
    withEventPage(async ({ backend, keeper, gref, card, clock }) => {
      keeper.keepFull(gref, Number.POSITIVE_INFINITY);
      backend.announceEvents(0);
      for (let turn = 0; turn < 10; turn++) await nextTurn();
      const closed = card.close();
      await clock.advanceTime(10e9);
      await closed;
      const { refills } = keeper;
      for (let turn = 0; turn < 10; turn++) await nextTurn();
      expect(keeper.refills).toBe(refills);
    }));

  test('that announces events of which every other never lands has a thousand looks', () =>
    withEventPage(async ({ machine, backend, keeper }) => {
      for (let index = 1; index < EVENT_RING_SIZE; index += 2) {
        backend.scribbleEvents(64 + index * EVENT_SIZE, encodeCurPos({ id: index, position: 0n }));
      }
      backend.announceEvents(EVENT_RING_SIZE);
      await machine.settle();
      expect(keeper.looks).toBeGreaterThan(1000);
      expect(keeper.looks).toBeLessThanOrEqual(1000 + EVENT_RING_SIZE);
    }));

  test('that notifies without end is listened to ever later', () =>
    withEventPage(async ({ backend, keeper }) => {
      const { peeks } = keeper;
      await storm(() => backend.announceEvents(0), 300);
      expect(keeper.peeks - peeks).toBeLessThanOrEqual(20);
    }));
});
