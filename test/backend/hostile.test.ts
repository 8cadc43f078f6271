import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memoryDevice } from '../../src/backend/devices.ts';
import type { QueueMode } from '../../src/backend/playback-queue.ts';
import { encodeRequest, type SndifRequest } from '../../src/wire/sndif.ts';
import {
  BUFFER_BYTES,
  noise,
  openRequest,
  PERIOD_BYTES,
  type RawBuffer,
  type RawChannel,
} from './raw-frontend.ts';
import { World } from './world.ts';

const u32 = fc.oneof(
  fc.nat(0x3000),
  fc.constantFrom(0, 1, 4, 1024, 4096, 8188, 8192, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);

/** What a guest that means no good may do in one round. */
type Evil =
  | { do: 'octets'; octets: Uint8Array }
  | { do: 'request'; request: SndifRequest }
  | { do: 'open'; changes: { bufferBytes?: number; periodBytes?: number; directoryGref?: number } }
  | { do: 'index'; page: 'ring' | 'events'; offset: number; value: number }
  | { do: 'directory'; entry: number; gref: number }
  | { do: 'state'; state: string }
  | { do: 'reconnect' }
  | { do: 'notify' };

const span = fc.record({ offset: u32, length: u32 });
const fitting = fc
  .record({ offset: fc.nat(2000), length: fc.nat(2000) })
  .map(({ offset, length }) => ({ offset: offset * 4, length: length * 4 }));

const evil: fc.Arbitrary<Evil> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ octets: fc.uint8Array({ minLength: 64, maxLength: 64 }), operation: fc.nat(12) })
      .map(({ octets, operation }) => {
        octets[2] = operation;
        return { do: 'octets' as const, octets };
      }),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({
        op: fc.constantFrom('write' as const, 'write' as const, 'read' as const, 'mute' as const),
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
    case 'octets':
      push(channel, evil.octets);
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

describe.each<QueueMode>(['copy', 'direct'])('whatever a guest does, in mode %s', (queueMode) => {
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
          await world.start();
          const bad = world.guest;
          let channel = await bad.connectOne();
          const buffer = await bad.createBuffer(BUFFER_BYTES);

          const good = await (await world.addGuest()).connectOne();
          const goodBuffer = await good.frontend.createBuffer(BUFFER_BYTES);
          expect(await good.open(goodBuffer)).toBe(0);
          expect(await good.trigger('start')).toBe(0);
          const written: Uint8Array[] = [];
          const feed = async (length: number) => {
            const at = written.length * PERIOD_BYTES;
            const octets = noise(PERIOD_BYTES, written.length + 1);
            goodBuffer.put(at % BUFFER_BYTES, octets);
            expect(await good.write(at % BUFFER_BYTES, length)).toBe(0);
            written.push(octets);
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
