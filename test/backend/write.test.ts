import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QueueMode } from '../../src/backend/playback-queue.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { FRAME, noise } from '../sound.ts';
import { BUFFER_BYTES } from './raw-frontend.ts';
import { useWorlds, World } from './world.ts';

const startWorld = useWorlds();

const { EINVAL, ENOSPC } = XenErrno;

const MODES: QueueMode[] = ['copy', 'direct'];

describe.each(MODES)('WRITE in mode %s', (queueMode) => {
  const BAD: [offset: number, length: number][] = [
    [0, 0],
    [BUFFER_BYTES, 0],
    [0, 1],
    [0, 3],
    [0, 1025],
    [0, BUFFER_BYTES + 4],
    [4, BUFFER_BYTES],
    [BUFFER_BYTES - 4, 8],
    [BUFFER_BYTES, 4],
    [BUFFER_BYTES - 1, 4],
    [0xffff_fffc, 4], // offset + length is 2^32: 0 in 32 bits
    [0xffff_fffc, 8],
    [0xffff_f000, 0x2000],
    [4, 0xffff_fffc],
    [0x8000_0000, 0x8000_0000],
    [0, 0xffff_fffc],
    [0, 0x8000_0000],
    [0xffff_ffff, 0xffff_ffff],
  ];

  test.each(BAD)('refuses offset %i, length %i, and takes in nothing of it', async (offset, length) => {
    const world = await startWorld({ queueMode });
    const { channel, buffer } = await world.openStream();
    buffer.put(0, noise(BUFFER_BYTES));
    expect(await channel.write(offset, length)).toBe(-EINVAL);
    expect(await channel.write(0, BUFFER_BYTES)).toBe(0); // all of the room is still there
    await channel.trigger('start');
    await world.clock.advance(BUFFER_BYTES / FRAME);
    expect(world.device.heard()).toEqual(Buffer.from(noise(BUFFER_BYTES)));
  });

  test.each([
    [0, BUFFER_BYTES],
    [0, 4],
    [BUFFER_BYTES - 4, 4],
    [4, BUFFER_BYTES - 4],
    [1, 4], // a frame may begin anywhere
    [4093, 8],
  ])('takes offset %i, length %i', async (offset, length) => {
    const world = await startWorld({ queueMode });
    const { channel, buffer } = await world.openStream();
    buffer.put(0, noise(BUFFER_BYTES));
    expect(await channel.write(offset, length)).toBe(0);
    await channel.trigger('start');
    await world.clock.advance(length / FRAME);
    expect(world.device.heard()).toEqual(Buffer.from(buffer.read(offset, length)));
  });

  test('refuses what has no room with -ENOSPC, and takes exactly as much as has been played', async () => {
    const world = await startWorld({ queueMode });
    const { channel } = await world.openStream();
    expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
    expect(await channel.write(0, 4)).toBe(-ENOSPC);
    await channel.trigger('start');
    expect(await channel.write(0, 4)).toBe(-ENOSPC);
    await world.clock.advance(256);
    expect(await channel.write(0, 1028)).toBe(-ENOSPC);
    expect(await channel.write(0, 1024)).toBe(0);
    expect(await channel.write(0, 4)).toBe(-ENOSPC);
    await world.clock.advance(2048);
    expect(world.device.heard()).toHaveLength(BUFFER_BYTES + 1024);
  });

  test('of one frame at a time fills the buffer', async () => {
    const world = await startWorld({ queueMode });
    const { channel, buffer } = await world.openStream({ bufferBytes: 64, periodBytes: 16 });
    buffer.put(0, noise(64));
    for (let offset = 0; offset < 64; offset += 4) expect(await channel.write(offset, 4)).toBe(0);
    expect(await channel.write(0, 4)).toBe(-ENOSPC);
    await channel.trigger('start');
    await world.clock.advance(16);
    expect(world.device.heard()).toEqual(Buffer.from(noise(64)));
  });

  test('frees its room at STOP', async () => {
    const world = await startWorld({ queueMode });
    const { channel, buffer } = await world.openStream();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('stop');
    buffer.put(0, noise(BUFFER_BYTES, 2));
    expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
    await channel.trigger('start');
    await world.clock.advance(2048);
    expect(world.device.heard()).toEqual(Buffer.from(noise(BUFFER_BYTES, 2)));
  });

  test.each([
    ['u8', 1, 8000],
    ['s24_le', 1, 96_000],
    ['s16_be', 6, 44_100],
    ['float64_le', 8, 192_000],
    ['s16_le', 3, 5512],
  ] as const)('is heard bit for bit as %s of %i channels at %i Hz', async (name, channels, rate) => {
    const world = await startWorld({ queueMode });
    const { code, sampleBytes = 1 } = pcmFormat(name);
    const frameBytes = sampleBytes * channels;
    const bufferBytes = 100 * frameBytes + 3; // not a whole number of frames
    const periodBytes = 10 * frameBytes;
    const open = { format: code, channels, rate, bufferBytes, periodBytes };
    const { channel, buffer } = await world.openStream(open);
    const bytes = noise(100 * frameBytes);
    const heard: Uint8Array[] = [];
    await channel.trigger('start');
    for (let round = 0; round < 5; round++) {
      buffer.put(3, bytes);
      expect(await channel.write(3, 100 * frameBytes)).toBe(0);
      heard.push(bytes);
      await world.clock.advance(100, rate);
    }
    expect(world.device.heard()).toEqual(Buffer.concat(heard));
    const positions = channel.takePositions();
    expect(positions).toEqual(Array.from({ length: 50 }, (_, index) => (index + 1) * periodBytes));
  });
});

describe('who owns the shared buffer', () => {
  test('in copy mode, what is overwritten after WRITE is not heard', async () => {
    const world = await startWorld({ queueMode: 'copy' });
    const { channel, buffer } = await world.openStream();
    buffer.put(0, noise(BUFFER_BYTES, 1));
    await channel.write(0, BUFFER_BYTES);
    buffer.put(0, noise(BUFFER_BYTES, 2));
    await channel.trigger('start');
    await world.clock.advance(2048);
    expect(world.device.heard()).toEqual(Buffer.from(noise(BUFFER_BYTES, 1)));
  });

  test('in direct mode, what stands there at playing time is heard', async () => {
    const world = await startWorld({ queueMode: 'direct' });
    const { channel, buffer } = await world.openStream();
    const [first, second] = [noise(BUFFER_BYTES, 1), noise(BUFFER_BYTES, 2)];
    buffer.put(0, first);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(512); // two periods have been played
    buffer.put(0, second);
    await world.clock.advance(2048);
    expect(world.device.heard()).toEqual(Buffer.concat([first.slice(0, 2048), second.slice(2048)]));
  });

  test('in direct mode, no more than 64 ranges here and there are kept in mind', async () => {
    const world = await startWorld({ queueMode: 'direct' });
    const { channel } = await world.openStream();
    const statuses: number[] = [];
    for (let range = 0; range < 70; range++) statuses.push(await channel.write(8 * range, 4));
    expect(statuses.slice(0, 64).every((status) => status === 0)).toBe(true);
    expect(new Set(statuses.slice(64))).toEqual(new Set([-28])); // ENOSPC
    expect(await channel.write(8 * 63 + 4, 4)).toBe(0); // it follows the last one
    await channel.trigger('start');
    await world.clock.advance(256);
    expect(await channel.write(0, 4)).toBe(0);
  });
});

/** What a frontend does next: spans in frames of a buffer of `SIZE` frames. */
type Step =
  | { do: 'write'; offset: number; length: number; seed: number }
  | { do: 'overwrite'; seed: number }
  | { do: 'advance'; frames: number }
  | { do: 'pause' | 'resume' };

const SIZE = 61; // frames: a buffer that wraps at odd places
const PERIOD = 7;

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .record({ offset: fc.nat(SIZE - 1), length: fc.integer({ min: 1, max: SIZE }), seed: fc.nat(99) })
      .map((span) => ({ do: 'write' as const, ...span, length: Math.min(span.length, SIZE - span.offset) })),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('overwrite' as const), seed: fc.nat(99) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('advance' as const), frames: fc.integer({ min: 1, max: SIZE }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const) }) },
);

describe.each(MODES)('any spans and advances in mode %s', (queueMode) => {
  test('are heard as they were at WRITE (copy) or at playing time (direct), and reported', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const world = await new World({ queueMode }).start();
        const open = { bufferBytes: SIZE * FRAME, periodBytes: PERIOD * FRAME };
        const { channel, buffer } = await world.openStream(open);
        expect(await channel.trigger('start')).toBe(0);

        // The model: frames waiting, each with where it stands and what stood there at WRITE.
        const waiting: { at: number; bytes: Uint8Array }[] = [];
        const heard: Uint8Array[] = [];
        const positions: number[] = [];
        let running = true;
        let reported = 0;
        const report = () => {
          if (heard.length === reported) return;
          reported = heard.length;
          positions.push(reported * FRAME);
        };
        // Frames are taken in one go: at a period's end, where the data ends, and at PAUSE. `owed` are those
        // whose time has passed meanwhile; in direct mode they are looked at when they are taken.
        let owed = 0;
        const take = () => {
          for (; owed > 0; owed--) {
            const frame = waiting.shift();
            if (frame === undefined) throw new Error('the model has no such frame');
            heard.push(queueMode === 'copy' ? frame.bytes : buffer.read(frame.at, FRAME));
          }
        };

        for (const next of steps) {
          switch (next.do) {
            case 'write': {
              const fits = waiting.length + next.length <= SIZE;
              const offset = next.offset * FRAME;
              // In the shared buffer nothing else is touched: what waits there may be overwritten, too.
              buffer.put(offset, noise(next.length * FRAME, next.seed));
              expect(await channel.write(offset, next.length * FRAME)).toBe(fits ? 0 : -ENOSPC);
              for (let index = 0; fits && index < next.length; index++) {
                const at = offset + index * FRAME;
                waiting.push({ at, bytes: buffer.read(at, FRAME) });
              }
              break;
            }
            case 'overwrite':
              buffer.put(0, noise(SIZE * FRAME, next.seed));
              break;
            case 'advance':
              await world.clock.advance(next.frames);
              for (let frame = 0; running && frame < next.frames && owed < waiting.length; frame++) {
                owed += 1;
                const isPeriodEnd = (heard.length + owed) % PERIOD === 0;
                const isDry = owed === waiting.length;
                if (!isPeriodEnd && !isDry) continue;
                take();
                report();
              }
              break;
            case 'pause':
              expect(await channel.trigger('pause')).toBe(running ? 0 : -XenErrno.EBADFD);
              if (running) take();
              running = false;
              break;
            case 'resume':
              expect(await channel.trigger('resume')).toBe(running ? -XenErrno.EBADFD : 0);
              running = true;
          }
          expect(channel.takePositions()).toEqual(positions.splice(0));
        }
        expect(Buffer.compare(world.device.heard(), Buffer.concat(heard))).toBe(0);
        await world.close();
      }),
      { numRuns: 150 },
    );
  });
});
