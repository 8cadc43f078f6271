import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FRAME, TEN_PERIODS } from '../sound.ts';
import {
  follow,
  OPENED,
  others,
  reads,
  report,
  SOURCE,
  startCapturing,
  startIdle,
  testUnstaged,
} from './capture.ts';
import { withRawCard } from './setup.ts';

describe('a READ is sent only for what has been captured', () => {
  test('none before the first position', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await raw.clock.advance(900);
      expect(raw.backend.operations).toEqual([...OPENED, 'trigger start']);
      expect([input.position, input.latency]).toEqual([0, 0]);
    }));

  test('for all of it, at once', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      await report(raw, 100);
      await report(raw, 350);
      expect(reads(raw.backend)).toEqual(['100 at 0', '250 at 100']);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 350 * FRAME));
      expect([input.position, input.latency]).toEqual([350, 0]);
    }));

  test('none for a position that came twice, or late', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const positions = follow(input, 'position');
      for (const frames of [300, 300, 299, 200]) await report(raw, frames);
      expect(reads(raw.backend)).toEqual(['300 at 0']);
      expect(positions).toEqual([['position', { frames: 300 }]]);
      expect([input.position, input.overruns]).toEqual([300, 0]);
    }));

  test('none for a part of a frame', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.sendPosition(100 * FRAME + 3);
      await raw.machine.settle();
      expect([reads(raw.backend), input.position]).toEqual([['100 at 0'], 100]);
      raw.backend.sendPosition(101 * FRAME);
      await raw.machine.settle();
      expect(reads(raw.backend)).toEqual(['100 at 0', '1 at 100']);
    }));

  test('across the end of the buffer: two READs, one chunk, in the right order', () =>
    withRawCard('c', async (raw) => {
      const { chunks } = await startCapturing(raw);
      await report(raw, 900);
      await report(raw, 1200);
      expect(reads(raw.backend)).toEqual(['900 at 0', '100 at 900', '200 at 0']);
      expect(chunks.map(({ length }) => length / FRAME)).toEqual([900, 300]);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 1200 * FRAME));
    }));

  test('no position counts before START and after the end', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      await report(raw, 400);
      expect([input.state, input.position, input.positionReports]).toEqual(['prepared', 0, 0]);
      input.finish();
      await report(raw, 500);
      expect(raw.backend.operations).toEqual([...OPENED, 'close']);
    }));

  test('no position counts before START has been answered', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      const letGo = raw.backend.holdRequests();
      input.resume();
      await raw.machine.settle();
      await report(raw, 400);
      letGo();
      await raw.machine.settle();
      expect([input.state, input.position, reads(raw.backend)]).toEqual(['running', 0, []]);
    }));

  test('whatever the positions and the reader: never more, in order, within the buffer', async () => {
    const steps = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 1500 }), isReading: fc.boolean() }), {
      minLength: 1,
      maxLength: 40,
    });
    const marks = fc.constantFrom(1, 37, 400, 1001, 16_384);
    await fc.assert(
      fc.asyncProperty(steps, marks, (walk, highWaterMark) =>
        withRawCard('c', async (raw) => {
          const { input, chunks } = await startCapturing(raw, { highWaterMark });
          let asked = 0;
          let position = 0;
          let seen = 0;
          const checkReads = async () => {
            await raw.machine.settle();
            for (const { request } of raw.backend.requests.slice(seen)) {
              seen++;
              if (request?.op !== 'read') continue;
              expect(request.offset).toBe(asked % 4000);
              expect(request.length % FRAME).toBe(0);
              expect(request.length).toBeGreaterThan(0);
              expect(request.offset + request.length).toBeLessThanOrEqual(4000);
              asked += request.length;
              expect(asked).toBeLessThanOrEqual(position);
            }
          };
          for (const { bytes, isReading } of walk) {
            if (isReading) input.resume();
            else input.pause();
            await checkReads();
            position = Math.min(position + bytes, asked + 4000); // as much as the buffer holds
            raw.backend.sendPosition(position);
            await checkReads();
          }
          input.resume();
          await checkReads();
          expect(asked).toBe(position - (position % FRAME));
          expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, asked));
          expect(input.overruns).toBe(0);
        }),
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});

describe('chunks', () => {
  test('are copies: nothing that the buffer holds later changes them', () =>
    withRawCard('c', async (raw) => {
      const { chunks } = await startCapturing(raw);
      await report(raw, 1000);
      const [first] = chunks;
      await report(raw, 2000);
      expect(raw.backend.readBuffer(0, 4000)).toEqual(SOURCE.subarray(4000, 8000));
      expect(first).toEqual(SOURCE.subarray(0, 4000));
    }));

  test.each([
    [402, [100, 100, 50]],
    [400, [100, 100, 50]],
    [399, [99, 99, 52]],
    [1_000_000, [250]],
  ])('with a highWaterMark of %i bytes: whole frames, at most so many', (highWaterMark, lengths) =>
    withRawCard('c', async (raw) => {
      const { chunks } = await startCapturing(raw, { highWaterMark });
      await report(raw, 250);
      expect(chunks.map(({ length }) => length / FRAME)).toEqual(lengths);
    }),
  );

  test.each([0, 1, 3, 7])('are a frame at least, also with a highWaterMark of %i bytes', (highWaterMark) =>
    withRawCard('c', async (raw) => {
      const { chunks } = await startCapturing(raw, { highWaterMark });
      await report(raw, 3);
      expect(chunks).toHaveLength(3);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 3 * FRAME));
    }),
  );

  test('are no longer than the buffer', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw, { highWaterMark: 1_000_000 });
      await report(raw, 1000);
      input.resume();
      await raw.machine.settle();
      expect(chunks.map(({ length }) => length / FRAME)).toEqual([1000]);
    }));

  test('of frames of any size: six channels of 24 bits', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw, {
        format: 's24_le',
        channels: 6,
        highWaterMark: 100,
      });
      expect(input.frameBytes).toBe(24);
      raw.backend.sendPosition(10 * 24);
      await raw.machine.settle();
      expect(chunks.map(({ length }) => length)).toEqual([96, 96, 48]);
    }));
});

describe('reading', () => {
  test('begins with the first reader; before that nothing is captured', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      expect([input.state, others(raw.backend)]).toEqual(['prepared', OPENED]);
      input.on('readable', () => {});
      await raw.machine.settle();
      expect([input.state, others(raw.backend)]).toEqual(['running', [...OPENED, 'trigger start']]);
    }));

  testUnstaged('an unread stream sends no READ; what its reader takes later makes it send the next one', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      for (const frames of [100, 200, 300, 1100]) await report(raw, frames);
      expect(reads(raw.backend)).toEqual(['100 at 0']);
      expect([input.position, input.latency, input.overruns]).toEqual([1100, 1000, 0]);
      input.resume();
      await raw.machine.settle();
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 1100 * FRAME));
      expect(input.latency).toBe(0);
    }),
  );

  test('`for await` gives whole frames; leaving it stops, closes and frees the stream', () =>
    withRawCard('c', async (raw) => {
      raw.backend.toCapture = Buffer.from(SOURCE);
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const closed = new Promise((resolve) => input.once('close', resolve)); // nobody listens to 'error'
      const reading = (async () => {
        const heard: Buffer[] = [];
        for await (const chunk of input) {
          heard.push(chunk);
          if (heard.length === 3) break;
        }
        return Buffer.concat(heard);
      })();
      await raw.machine.settle();
      for (const frames of [100, 200, 300]) await report(raw, frames);
      expect(await reading).toEqual(SOURCE.subarray(0, 300 * FRAME));
      await closed;
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start', 'trigger stop', 'close']);
      expect(raw.card.streams).toEqual([]);
    }));

  test('pipeline() into a file, ended by finish()', () =>
    withRawCard('c', async (raw) => {
      const directory = await mkdtemp(join(tmpdir(), 'vsnd-'));
      try {
        const file = join(directory, 'take.raw');
        raw.backend.toCapture = Buffer.from(SOURCE);
        const input = raw.card.createCaptureStream(TEN_PERIODS);
        const recording = pipeline(input, createWriteStream(file));
        await raw.machine.settle();
        await report(raw, 400);
        await report(raw, 900);
        input.finish();
        await recording;
        expect(await readFile(file)).toEqual(SOURCE.subarray(0, 900 * FRAME));
      } finally {
        await rm(directory, { recursive: true });
      }
    }));

  test('a pipeline whose sink fails destroys the stream', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const failing = pipeline(input, async () => {
        throw new Error('the sink broke');
      });
      await expect(failing).rejects.toThrow('the sink broke');
      await raw.machine.settle();
      expect(input.closed).toBe(true);
      expect(raw.card.streams).toEqual([]);
    }));
});
