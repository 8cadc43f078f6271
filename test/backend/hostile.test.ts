import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { memoryDevice } from '../../src/backend/devices.ts';
import type { QueueMode } from '../../src/backend/playback-queue.ts';
import { deferred } from '../../src/deferred.ts';
import { encodeRequest, type SndifRequest } from '../../src/wire/sndif.ts';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, openRequest, PERIOD_BYTES, type RawBuffer, type RawChannel } from './raw-frontend.ts';
import { CAPTURE, PLAYBACK, useWorlds, World } from './world.ts';

const u32 = fc.oneof(
  fc.nat(0x3000),
  fc.constantFrom(0, 1, 4, 1024, 4096, 8188, 8192, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);

/** What a guest that means no good may do in one round. */
type Evil =
  | { do: 'bytes'; bytes: Uint8Array }
  | { do: 'request'; request: SndifRequest }
  | { do: 'open'; changes: { bufferBytes?: number; periodBytes?: number; directoryGref?: number } }
  | { do: 'index'; page: 'ring' | 'events'; offset: number; value: number }
  | { do: 'directory'; entry: number; gref: number }
  | { do: 'state'; state: string }
  | { do: 'reconnect' }
  | { do: 'notify' };

const VOLUME_OPS = ['setVolume', 'getVolume', 'mute', 'unmute'] as const;

const span = fc.record({ offset: u32, length: u32 });
const fitting = fc
  .record({ offset: fc.nat(2000), length: fc.nat(2000) })
  .map(({ offset, length }) => ({ offset: offset * 4, length: length * 4 }));

const evil: fc.Arbitrary<Evil> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ bytes: fc.uint8Array({ minLength: 64, maxLength: 64 }), operation: fc.nat(12) })
      .map(({ bytes, operation }) => {
        bytes[2] = operation;
        return { do: 'bytes' as const, bytes };
      }),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({
        op: fc.constantFrom('write' as const, 'read' as const),
        where: fc.oneof(fitting, span),
      })
      .map(({ op, where }) => ({ do: 'request' as const, request: { op, ...where } })),
  },
  {
    weight: 6,
    arbitrary: fc
      .constantFrom('start' as const, 'start' as const, 'pause' as const, 'resume' as const, 'stop' as const)
      .map((trigger) => ({ do: 'request' as const, request: { op: 'trigger' as const, trigger } })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        op: fc.constantFrom(...VOLUME_OPS),
        offset: fc.oneof(fc.nat(BUFFER_BYTES), u32),
        length: fc.constantFrom(2, 8, 0xffff_ffff),
      })
      .map((request) => ({ do: 'request' as const, request })),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'request' as const, request: { op: 'close' as const } }) },
  {
    weight: 4,
    arbitrary: fc
      .record(
        {
          bufferBytes: fc.oneof(fc.constantFrom(4, 8, 100, 4097, 8192), u32),
          periodBytes: fc.oneof(fc.constantFrom(0, 4, 5, 100, 1024), u32),
          directoryGref: u32,
        },
        { requiredKeys: [] },
      )
      .map((changes) => ({ do: 'open' as const, changes })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        page: fc.constantFrom('ring' as const, 'events' as const),
        offset: fc.constantFrom(0, 4, 8, 12),
        value: u32,
      })
      .map((index) => ({ do: 'index' as const, ...index })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ entry: fc.nat(3), gref: u32 })
      .map((entry) => ({ do: 'directory' as const, ...entry })),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('0', '1', '2', '3', '4', '5', '6', '7', '8', '99', '')
      .map((state) => ({ do: 'state' as const, state })),
  },
  { weight: 2, arbitrary: fc.constant({ do: 'reconnect' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'notify' as const }) },
);

/** The indexes as they are in the shared page: the good frontend's own ring would refuse what comes back. */
function push(channel: RawChannel, entry: Uint8Array): void {
  const reqProd = channel.ringPage.load32(0);
  channel.ringPage.copyIn(64 + (reqProd % 32) * 64, entry);
  channel.ringPage.store32(0, (reqProd + 1) >>> 0);
  channel.ringPort.notify();
}

function misbehave(channel: RawChannel, buffer: RawBuffer, evil: Evil): void {
  switch (evil.do) {
    case 'bytes':
      push(channel, evil.bytes);
      break;
    case 'request':
      push(channel, encodeRequest(7, evil.request));
      break;
    case 'open':
      push(channel, encodeRequest(8, openRequest(buffer, evil.changes)));
      break;
    case 'index':
      channel[evil.page === 'ring' ? 'ringPage' : 'eventPage'].store32(evil.offset, evil.value);
      channel.ringPort.notify();
      break;
    case 'directory':
      buffer.directory.store32(4 * evil.entry, evil.gref);
      break;
    default:
      channel.ringPort.notify();
  }
}

describe.each<[QueueMode, typeof PLAYBACK]>([
  ['copy', PLAYBACK],
  ['direct', PLAYBACK],
  ['copy', CAPTURE],
])('whatever a guest does, in mode %s, with a stream %j', (queueMode, stream) => {
  test('the backend lives, holds nothing in the end, and plays another guest bit for bit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ evils: fc.array(evil, { minLength: 1, maxLength: 8 }), frames: fc.nat(700) }), {
          minLength: 1,
          maxLength: 25,
        }),
        async (rounds) => {
          const world = new World({
            queueMode,
            deviceFor: ({ frontendDomid }) =>
              frontendDomid === 1 ? memoryDevice(world.backendClock) : world.device,
          });
          await world.startBackend();
          const bad = await world.addGuest({ pcmDevices: [{ streams: [stream] }] });
          let channel = await bad.connectOne();
          const buffer = await bad.createBuffer(BUFFER_BYTES);

          const good = await (await world.addGuest()).connectOne();
          const goodBuffer = await good.frontend.createBuffer(BUFFER_BYTES);
          expect(await good.open(goodBuffer)).toBe(0);
          expect(await good.trigger('start')).toBe(0);
          const written: Uint8Array[] = [];
          const feed = async (length: number) => {
            const at = written.length * PERIOD_BYTES;
            const bytes = noise(PERIOD_BYTES, written.length + 1);
            goodBuffer.put(at % BUFFER_BYTES, bytes);
            expect(await good.write(at % BUFFER_BYTES, length)).toBe(0);
            written.push(bytes);
          };

          for (const { evils, frames } of rounds) {
            for (const evil of evils) {
              if (evil.do === 'state') await bad.setState(evil.state);
              else if (evil.do === 'reconnect') channel = await bad.connectOne();
              else misbehave(channel, buffer, evil);
            }
            await feed(PERIOD_BYTES);
            await world.clock.advance(Math.max(256, frames));
            // Nothing goes wrong with the other one: each period is reported when it is played.
            expect(good.takePositions()).toEqual([written.length * PERIOD_BYTES]);
          }
          expect(Buffer.compare(world.device.heard(), Buffer.concat(written))).toBe(0);

          // The guest may always begin anew, whatever it has done.
          await bad.setState('1');
          await bad.connectOne();
          expect(await bad.backendState()).toBe('4');
          await world.close();
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});

const startWorld = useWorlds();
afterEach(() => {
  vi.restoreAllMocks();
});

/** Two guests; the second one plays, and must go on doing so. */
async function startWithNeighbour() {
  const world = await startWorld();
  const neighbour = await world.addGuest();
  const channel = await neighbour.connectOne();
  const buffer = await neighbour.createBuffer(BUFFER_BYTES);
  expect(await channel.open(buffer)).toBe(0);
  expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
  expect(await channel.trigger('start')).toBe(0);
  world.takeLog();
  const expectUnharmed = async () => {
    channel.takeEvents();
    await world.clock.advance(256);
    expect(channel.takePositions()).toHaveLength(1);
    expect(await neighbour.backendState()).toBe('4');
  };
  return { world, bad: world.guest, expectUnharmed };
}

/** As the toolstack, or a guest without a quota, could: any bytes. */
function put(world: World, path: string, bytes: Uint8Array): void {
  world.machine.store.run((view) => view.write(path, bytes));
}

describe('what a guest writes into XenStore', () => {
  const KILOBYTES = Buffer.alloc(2000, '9');
  const MEGABYTE = Buffer.alloc(1 << 20, '9');
  const ODD = Uint8Array.of(0xff, 0xfe, 0, 10, 27, 0x5b, 0x32, 0x4a, 0xc0, 0x80);
  const VITAL = ['version', '0/0/type', '0/0/ring-ref', '0/0/evt-event-channel'];
  const LIMITS = ['sample-rates', 'sample-formats', '0/channels-max', '0/0/buffer-size'];

  test.each([
    ...VITAL.flatMap((node) => [[node, 'kilobytes', KILOBYTES] as const, [node, 'odd bytes', ODD] as const]),
    ...[...VITAL, ...LIMITS].map((node) => [node, 'a megabyte', MEGABYTE] as const),
  ])('as %s: %s, ends in one short line and a closed card', async (node, _name, bytes) => {
    const { world, bad, expectUnharmed } = await startWithNeighbour();
    const { transport } = await bad.createChannel();
    await bad.publish('0/0', transport);
    put(world, `${bad.path}/${node}`, bytes);
    await bad.setState('3');
    expect(await bad.backendState()).toBe('6');
    const log = world.takeLog();
    expect(log).toHaveLength(1);
    expect(log.join()).toMatch(/^1\/0: cannot connect: /);
    expect(log.join().length).toBeLessThan(700);
    await expectUnharmed();
  });

  test.each(
    LIMITS.flatMap((node) => [[node, 'kilobytes', KILOBYTES] as const, [node, 'odd bytes', ODD] as const]),
  )('as %s: %s, ends in one short line, and counts as nothing', async (node, _name, bytes) => {
    const { world, bad, expectUnharmed } = await startWithNeighbour();
    const { transport } = await bad.createChannel();
    await bad.publish('0/0', transport);
    put(world, `${bad.path}/${node}`, bytes);
    await bad.setState('3');
    expect(await bad.backendState()).toBe('4');
    const [warning = '', ...others] = world.takeLog();
    expect(warning).toMatch(/^1\/0: .*taken as if it were not there$/);
    expect(warning.length).toBeLessThan(700);
    expect(others).toEqual(['1/0: connected, 1 streams']);
    await expectUnharmed();
  });

  test.each([
    ['kilobytes', KILOBYTES],
    ['a megabyte', MEGABYTE],
    ['odd bytes', ODD],
    ['99', Buffer.from('99')],
    ['-1', Buffer.from('-1')],
    ['3\\0', Buffer.from('3\0')],
  ])('as its state: %s, is no state', async (_name, bytes) => {
    const { world, bad, expectUnharmed } = await startWithNeighbour();
    await bad.connectOne();
    put(world, `${bad.path}/state`, bytes);
    await world.machine.settle();
    await expectUnharmed();
    await bad.connectOne();
    expect(await bad.backendState()).toBe('4');
  });

  test.each([
    ['kilobytes', KILOBYTES],
    ['odd bytes', ODD],
  ])('as its unique-id: %s, is only a name', async (_name, bytes) => {
    const { world, bad } = await startWithNeighbour();
    put(world, `${bad.path}/0/0/unique-id`, bytes);
    await bad.connectOne();
    expect(await bad.backendState()).toBe('4');
  });

  test('nodes that should have a value and have nodes below them, or the other way round', async () => {
    const { world, bad, expectUnharmed } = await startWithNeighbour();
    put(world, `${bad.path}/state/3/0`, Buffer.from('3'));
    put(world, `${bad.path}/0`, Buffer.from('a value'));
    put(world, `${bad.path}/0/0/type/p`, Buffer.from('p'));
    put(world, `${bad.path}/1`, Buffer.from('a device without streams'));
    put(world, `${bad.path}/2/0/1/2/3/4/5/6/7/8/9`, Buffer.from(''));
    const channel = await bad.createChannel();
    await bad.publish('0/0', channel.transport);
    await bad.setState('3');
    expect(await bad.backendState()).toBe('6'); // stream 2/0 has no type
    expect(world.takeLog().join()).toContain(`${bad.path}/2/0/type is missing`);
    await bad.xenstore.remove(`${bad.path}/2`);
    await bad.connectOne();
    expect(await bad.backendState()).toBe('4');
    await expectUnharmed();
  });

  test('hundreds of PCM devices and streams', async () => {
    const { world, bad, expectUnharmed } = await startWithNeighbour();
    const { transport } = await bad.createChannel();
    await bad.publish('0/0', transport);
    for (let index = 1; index < 400; index++) put(world, `${bad.path}/${index}`, Buffer.from(''));
    for (let index = 1; index < 400; index++) put(world, `${bad.path}/0/${index}/type`, Buffer.from('p'));
    await bad.setState('3');
    expect(await bad.backendState()).toBe('6');
    const log = world.takeLog();
    expect(log.length).toBeLessThan(25);
    const refusal = /^1\/0: cannot connect: .*\/0\/1\/ring-ref is missing; /;
    expect(log).toContainEqual(expect.stringMatching(refusal));
    await expectUnharmed();
  });

  test('names beside its card that are none', async () => {
    const { world, bad, expectUnharmed } = await startWithNeighbour();
    for (const name of ['99', '-1', '0x0', 'a@b', '1/x', '1e3/0', '00/0']) {
      put(world, `/local/domain/0/backend/vsnd/${name}/state`, Buffer.from('1'));
    }
    await world.machine.settle();
    expect(world.takeLog()).toEqual([]);
    await expectUnharmed();
    await bad.connectOne();
  });
});

describe('thousands of watch events', () => {
  /** Restarts the backend, and returns how many requests it has made of XenStore since the last call. */
  async function countRequests(world: World): Promise<() => number> {
    const { dom0 } = world.machine;
    let requests = 0;
    const openXenStore = dom0.openXenStore.bind(dom0);
    await world.closeBackend();
    vi.spyOn(dom0, 'openXenStore').mockImplementation(async () => {
      const transport = await openXenStore();
      const send = transport.send.bind(transport);
      vi.spyOn(transport, 'send').mockImplementation((message) => {
        requests += 1;
        send(message);
      });
      return transport;
    });
    await world.startBackend();
    return () => {
      const count = requests;
      requests = 0;
      return count;
    };
  }

  test('that nobody caused cost a few requests', async () => {
    const world = await startWorld();
    const requests = await countRequests(world);
    const channel = await world.guest.connectOne();
    world.takeLog();
    requests();
    world.machine.faults.watchStorm({ domid: 0, path: `${world.guest.path}/state`, count: 5000 });
    world.machine.faults.watchStorm({ domid: 0, path: '/local/domain/0/backend/vsnd/1/0/x', count: 5000 });
    await world.machine.settle();
    expect(requests()).toBeLessThan(20);
    expect(world.takeLog()).toEqual([]);
    expect(await channel.close()).toBe(0);
  });

  test('that come while the card waits for a device cost no more', async () => {
    const gate = deferred();
    const world = await startWorld({
      device: (clock) => ({
        ...memoryDevice(clock),
        openPlayback: async () => ({
          ...{ start() {}, pause() {}, resume() {}, stop() {}, refilled() {} },
          close: () => gate.promise,
        }),
      }),
    });
    const requests = await countRequests(world);
    const { guest } = world;
    await world.openStream();
    await guest.setState('5');
    requests();
    for (let round = 0; round < 200; round++) {
      world.machine.faults.watchStorm({ domid: 0, path: `${guest.path}/state`, count: 50 });
      await world.machine.step();
    }
    gate.resolve();
    await world.machine.settle();
    expect(requests()).toBeLessThan(30);
    expect(await guest.backendState()).toBe('2');
  });

  test('that a guest causes by its state end where it does', async () => {
    const { world, bad, expectUnharmed } = await startWithNeighbour();
    const channel = await bad.createChannel();
    await bad.publish('0/0', channel.transport);
    for (let round = 0; round < 300; round++) {
      for (const state of ['1', '3', '5', '99', '6']) void bad.writeState(state);
      if (round % 10 === 0) await world.machine.step();
    }
    await world.machine.settle();
    await expectUnharmed();
    await bad.connectOne();
    expect(await bad.backendState()).toBe('4');
    const held = world.machine
      .leaks()
      .filter((leak) => leak.startsWith('domain 0: mapping of 1 pages of domain 1'));
    expect(held.length).toBeLessThanOrEqual(2);
  });
});
