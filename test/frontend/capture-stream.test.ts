import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CaptureStream, CaptureStreamOptions } from '../../src/frontend/capture-stream.ts';
import type { CaptureStreamEvents, StreamWarning } from '../../src/frontend/stream-events.ts';
import { openCard } from '../../src/open-card.ts';
import { Backend, startTestGuest } from '../../src/testing.ts';
import { PCM_FORMATS } from '../../src/wire/pcm-format.ts';
import { FRAME, noise, TEN_PERIODS } from '../sound.ts';
import { RawBackend } from './raw-backend.ts';
import { closing, IS_CARRIED, type RawCard, startCard, withRawCard } from './setup.ts';

const SOURCE = noise(10_000 * FRAME);

/** Every chunk that arrives from now on. */
function collect(input: CaptureStream): Buffer[] {
  const chunks: Buffer[] = [];
  input.on('data', (chunk: Buffer) => chunks.push(chunk));
  return chunks;
}

/** The events with these names, as they come, by name and what they say. */
function follow(input: CaptureStream, ...names: (keyof CaptureStreamEvents)[]): unknown[] {
  const events: unknown[] = [];
  for (const name of names) {
    input.on(name as 'error', (detail?: unknown) =>
      events.push(detail === undefined ? name : [name, detail]),
    );
  }
  return events;
}

/** A stream that runs, with a reader and nothing captured yet; it will hear SOURCE. */
async function startCapturing(
  { machine, backend, card }: RawCard,
  options: Partial<CaptureStreamOptions> = {},
) {
  backend.toCapture = Buffer.from(SOURCE);
  const input = card.createCaptureStream({ ...TEN_PERIODS, ...options });
  const chunks = collect(input);
  await machine.settle();
  expect(input.state).toBe('running');
  return { input, chunks };
}

/** As {@link startCapturing}, and the reader takes no more than the 100 frames for which the stream has room itself. */
async function startIdle(raw: RawCard, options: Partial<CaptureStreamOptions> = {}) {
  const { input, chunks } = await startCapturing(raw, { highWaterMark: 100 * FRAME, ...options });
  input.pause();
  return { input, chunks };
}

async function report({ machine, backend }: RawCard, frames: number): Promise<void> {
  backend.sendPosition(frames * FRAME);
  await machine.settle();
}

/** Where each READ asked for how much, in frames: '100 at 0'. */
function reads(backend: RawBackend): string[] {
  return backend.requests.flatMap(({ request }) =>
    request?.op === 'read' ? [`${request.length / FRAME} at ${request.offset / FRAME}`] : [],
  );
}

/** What was asked of the backend, save READs. */
function others({ operations }: RawBackend): string[] {
  return operations.filter((operation) => operation !== 'read');
}

/** What holds where nothing is read ahead of the reader, as a thread that carries the stream does. */
const testUnstaged = test.skipIf(IS_CARRIED);

const OPENED = ['hwParamQuery', 'hwParamQuery', 'open'];

describe('a READ is sent only for what has been captured', () => {
  test('none before the first position', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await raw.clock.advance(900);
      expect(raw.backend.operations).toEqual([...OPENED, 'trigger start']);
      expect([input.position, input.latency]).toEqual([0, 0]);
    }));

  test('and for all of it', () =>
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

  test('before START and after the end no position counts', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      await report(raw, 400);
      expect([input.state, input.position, input.positionReports]).toEqual(['prepared', 0, 0]);
      input.finish();
      await report(raw, 500);
      expect(raw.backend.operations).toEqual([...OPENED, 'close']);
    }));

  test('nor before START has been answered', () =>
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

describe('an overrun', () => {
  test('a position one frame beyond the buffer: STOP, START, no READ; what was not read is lost', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const overruns = follow(input, 'overrun');
      await report(raw, 100);
      await report(raw, 1101);
      expect(overruns).toEqual([['overrun', { lost: 1001, frames: 1101, count: 1 }]]);
      expect(raw.backend.operations.slice(-3)).toEqual(['read', 'trigger stop', 'trigger start']);
      expect([input.position, input.latency, input.overruns]).toEqual([1101, 0, 1]);
      expect(input.state).toBe('running');
    }));

  testUnstaged('a position that falls', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const overruns = follow(input, 'overrun');
      await report(raw, 100);
      await report(raw, 500);
      await report(raw, 0);
      expect(overruns).toEqual([['overrun', { lost: 400, frames: 500, count: 1 }]]);
      expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'trigger start']);
    }),
  );

  test('capture goes on with what comes next, from the start of the buffer, and the position with it', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      await report(raw, 100);
      await report(raw, 1200);
      raw.backend.toCapture = Buffer.from(SOURCE.subarray(1200 * FRAME));
      input.resume();
      await report(raw, 50);
      await report(raw, 150);
      expect(reads(raw.backend)).toEqual(['100 at 0', '50 at 0', '100 at 50']);
      expect(Buffer.concat(chunks)).toEqual(
        Buffer.concat([SOURCE.subarray(0, 400), SOURCE.subarray(1200 * FRAME, 1350 * FRAME)]),
      );
      expect(input.position).toBe(1350);
    }));

  test('each is counted, and tells what it lost', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const overruns = follow(input, 'overrun');
      await report(raw, 100);
      for (const frames of [1200, 1001, 1150]) await report(raw, frames);
      expect(overruns).toEqual([
        ['overrun', { lost: 1100, frames: 1200, count: 1 }],
        ['overrun', { lost: 1001, frames: 2201, count: 2 }],
        ['overrun', { lost: 1150, frames: 3351, count: 3 }],
      ]);
      expect([input.overruns, input.position]).toEqual([3, 3351]);
    }));

  test('positions from before START, whenever they are found, do not count', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 1200);
      await report(raw, 1300); // STOP has not been answered
      raw.backend.putPosition(1400 * FRAME); // nor START, and nobody is notified
      const { positionReports } = input;
      letGo();
      await raw.machine.settle();
      expect([input.position, input.latency, input.overruns]).toEqual([1200, 0, 1]);
      await report(raw, 70);
      expect([input.position, input.overruns, reads(raw.backend)]).toEqual([1270, 1, ['70 at 0']]);
      expect(input.positionReports).toBe(positionReports + 1);
    }));

  test('with a READ under way: its frames are delivered, and none twice', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const overruns = follow(input, 'overrun');
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      await report(raw, 1101);
      expect(overruns).toEqual([['overrun', { lost: 1001, frames: 1101, count: 1 }]]);
      letGo();
      await raw.machine.settle();
      await report(raw, 30);
      expect(reads(raw.backend)).toEqual(['100 at 0', '30 at 0']);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 130 * FRAME));
      expect(input.position).toBe(1131);
    }));

  test('a START that the backend refuses then ends the stream with its status', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      raw.backend.answer = (request) => (request?.op === 'trigger' ? { status: -5 } : {});
      const closed = closing(input);
      await report(raw, 1200);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
    }));

  test('while paused: no READ; STOP and START follow when it goes on', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const overruns = follow(input, 'overrun');
      await input.trigger('pause');
      await report(raw, 1001);
      expect([reads(raw.backend), overruns]).toEqual([[], []]);
      await input.trigger('resume');
      await raw.machine.settle();
      expect(overruns).toEqual([['overrun', { lost: 1001, frames: 1001, count: 1 }]]);
      expect(raw.backend.operations.slice(-3)).toEqual(['trigger resume', 'trigger stop', 'trigger start']);
    }));

  testUnstaged(
    'the time before a pause counts after it: nothing is asked for that may have run over meanwhile',
    () =>
      withRawCard('c', async (raw) => {
        const { input } = await startIdle(raw);
        await report(raw, 300);
        await raw.clock.advance(850);
        await input.trigger('pause');
        const before = reads(raw.backend).length;
        input.resume();
        await raw.clock.advance(10);
        await input.trigger('resume');
        await raw.machine.settle();
        expect(reads(raw.backend)).toHaveLength(before);
        await report(raw, 1200);
        expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'trigger start']);
      }),
  );

  test('does not keep a paused stream from ending', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await input.trigger('pause');
      await report(raw, 1001);
      input.finish();
      await once(input, 'close');
      expect(reads(raw.backend)).toEqual([]);
    }));

  testUnstaged('on a card that keeps time: the gap is where and as long as the event says', async () => {
    const { guest, card } = await startCard({ capture: true });
    guest.device.say(SOURCE);
    const input = card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: 300 * FRAME });
    const overruns = follow(input, 'overrun');
    const chunks = collect(input);
    await guest.machine.settle();
    input.pause();
    await guest.clock.advance(1450);
    input.resume();
    await guest.clock.advance(600);
    expect(overruns).toEqual([['overrun', { lost: 1100, frames: 1400, count: 1 }]]);
    expect(Buffer.concat(chunks)).toEqual(
      Buffer.concat([SOURCE.subarray(0, 300 * FRAME), SOURCE.subarray(1400 * FRAME, 2000 * FRAME)]),
    );
    expect(input.position).toBe(2000);
    await card.close();
  });
});

describe('finish()', () => {
  test("what was captured is still delivered, to whoever reads late; then 'end' and 'close', once each", () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      const events = follow(input, 'end', 'close', 'error', 'overrun');
      await report(raw, 750);
      input.finish();
      await raw.machine.settle();
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start', 'trigger stop', 'close']);
      expect(raw.backend.operations.lastIndexOf('read')).toBeLessThan(
        raw.backend.operations.indexOf('trigger stop'),
      );
      expect([events, input.state]).toEqual([[], 'finished']);
      input.resume();
      await raw.machine.settle();
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 750 * FRAME));
      expect(events).toEqual(['end', 'close']);
      expect(raw.card.streams).toEqual([]);
    }));

  test('with a READ under way, and more captured', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      await report(raw, 300);
      input.finish();
      letGo();
      await once(input, 'close');
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 300 * FRAME));
    }));

  test('positions that come later do not count', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      input.finish();
      await report(raw, 300);
      letGo();
      await once(input, 'close');
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 100 * FRAME));
      expect(input.position).toBe(100);
    }));

  test('before the stream is open', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const events = follow(input, 'end', 'close', 'error');
      input.finish();
      input.resume();
      await raw.machine.settle();
      expect(events).toEqual(['end', 'close']);
      expect(raw.backend.operations).not.toContain('trigger start');
      expect(raw.card.streams).toEqual([]);
    }));

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('after %i turns of the event loop', (turns) =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const events = follow(input, 'end', 'close', 'error');
      input.resume();
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      input.finish();
      await raw.machine.settle();
      expect(events).toEqual(['end', 'close']);
      expect(raw.card.streams).toEqual([]);
    }),
  );

  test('before anybody has read: CLOSE without STOP', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      input.finish();
      input.resume();
      await once(input, 'close');
      expect(raw.backend.operations).toEqual([...OPENED, 'close']);
    }));

  test('while paused', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      await report(raw, 500);
      await input.trigger('pause');
      input.finish();
      input.resume();
      await once(input, 'close');
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 500 * FRAME));
      expect(others(raw.backend).slice(-3)).toEqual(['trigger pause', 'trigger stop', 'close']);
    }));

  testUnstaged('while READs are so slow that the rest runs over: what is lost is told', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      const overruns = follow(input, 'overrun');
      await report(raw, 400);
      const letGo = raw.backend.holdRequests();
      input.finish();
      input.resume();
      await raw.clock.advance(900);
      letGo();
      await once(input, 'close');
      const read = Buffer.concat(chunks).length / FRAME;
      expect(read).toBeLessThan(400);
      expect(overruns).toEqual([['overrun', { lost: 400 - read, frames: 400, count: 1 }]]);
    }),
  );

  test('while an overrun is being left', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      await report(raw, 100);
      const letGo = raw.backend.holdRequests();
      await report(raw, 1200);
      input.finish();
      letGo();
      input.resume();
      await once(input, 'close');
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 100 * FRAME));
    }));

  test('and stop: nothing more is delivered, and the end comes without another OPEN', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      input.finish();
      const stopped = input.trigger('stop');
      letGo();
      await stopped;
      await once(input, 'close');
      expect(chunks).toEqual([]);
      expect(raw.backend.operations.filter((operation) => operation === 'open')).toHaveLength(1);
    }));

  test("twice, and after 'close': nothing more happens", () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const events = follow(input, 'end', 'close', 'error');
      input.finish();
      input.finish();
      await raw.machine.settle();
      input.finish();
      await raw.machine.settle();
      expect(events).toEqual(['end', 'close']);
      expect(others(raw.backend).filter((operation) => operation === 'close')).toHaveLength(1);
    }));

  test('a CLOSE that the backend refuses is the stream’s error', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.answer = (request) => (request?.op === 'close' ? { status: -5 } : {});
      const closed = closing(input);
      input.finish();
      expect(await closed).toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
    }));

  test('a backend that goes before it has answered CLOSE: all is there, and the end comes', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const events = follow(input, 'end', 'close', 'error');
      await report(raw, 100);
      raw.backend.answer = (request) => (request?.op === 'close' ? undefined : {});
      input.finish();
      await raw.machine.settle();
      await raw.backend.say(6);
      await raw.machine.settle();
      expect(events).toEqual(['end', 'close']);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 100 * FRAME));
    }));
});

describe('destroy()', () => {
  /** Closes once, without an error; returns what the backend was asked meanwhile. */
  const destroyed = async ({ machine, backend, card }: RawCard, input: CaptureStream) => {
    const events = follow(input, 'end', 'close', 'error');
    const before = backend.operations.length;
    input.destroy();
    input.destroy();
    await machine.settle();
    expect(events).toEqual(['close']);
    expect([input.state, card.streams]).toEqual(['finished', []]);
    return backend.operations.slice(before);
  };

  test('before it is open', () =>
    withRawCard('c', async (raw) => {
      expect(await destroyed(raw, raw.card.createCaptureStream(TEN_PERIODS))).toEqual([]);
    }));

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('after %i turns of the event loop', (turns) =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      input.resume();
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      const asked = await destroyed(raw, input);
      if (asked.length > 0) expect(asked.at(-1)).toBe('close');
    }),
  );

  test('before anybody has read: CLOSE', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      expect(await destroyed(raw, input)).toEqual(['close']);
    }));

  test('while it runs: STOP, CLOSE', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await report(raw, 100);
      expect(await destroyed(raw, input)).toEqual(['trigger stop', 'close']);
    }));

  test('with a READ under way, which nobody gets', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      setImmediate(letGo);
      expect(await destroyed(raw, input)).toEqual(['trigger stop', 'close']);
      expect(chunks).toEqual([]);
    }));

  test('while paused', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await input.trigger('pause');
      expect(await destroyed(raw, input)).toEqual(['trigger stop', 'close']);
    }));

  test('while an overrun is being left', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 1200);
      setImmediate(letGo);
      const asked = await destroyed(raw, input);
      expect(asked.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  testUnstaged('while it is finishing', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      await report(raw, 100);
      await report(raw, 200);
      input.finish();
      expect(await destroyed(raw, input)).toEqual(['read', 'trigger stop', 'close']);
    }),
  );

  test('while CLOSE is under way', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      input.finish();
      await raw.machine.settle();
      setImmediate(letGo);
      await destroyed(raw, input);
      expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  test('after which finish() does nothing', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const events = follow(input, 'end', 'close', 'error');
      input.resume();
      input.destroy();
      input.finish();
      await raw.machine.settle();
      expect(events).toEqual(['close']);
    }));

  test('in a listener of its data', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw, { highWaterMark: 100 * FRAME });
      input.on('data', () => input.destroy());
      await report(raw, 500);
      expect(chunks).toHaveLength(1);
      expect(raw.backend.operations.slice(-3)).toEqual(['read', 'trigger stop', 'close']);
    }));

  test('with an error, which is emitted', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const closed = closing(input);
      input.destroy(new Error('enough'));
      expect(await closed).toMatchObject({ message: 'enough' });
    }));

  test('by a signal', () =>
    withRawCard('c', async (raw) => {
      const abort = new AbortController();
      const { input } = await startCapturing(raw, { signal: abort.signal });
      const closed = closing(input);
      abort.abort();
      expect(await closed).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  test('by a signal that was aborted before', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream({ ...TEN_PERIODS, signal: AbortSignal.abort() });
      expect(await closing(input)).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(raw.backend.operations).toEqual([]);
      expect(raw.card.streams).toEqual([]);
    }));

  test('card.close() destroys what still captures', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream(TEN_PERIODS);
    input.resume();
    await guest.clock.advance(250);
    await card.close();
    expect(input.closed).toBe(true);
    expect(() => card.createCaptureStream(TEN_PERIODS)).toThrow('the card has been closed');
  });
});

describe('trigger()', () => {
  testUnstaged("'start' captures before anybody reads", () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      await input.trigger('start');
      await raw.machine.settle();
      expect([input.state, raw.backend.operations.at(-1)]).toEqual(['running', 'trigger start']);
      await report(raw, 300);
      expect([input.latency, reads(raw.backend)]).toEqual([300, []]);
      await input.trigger('start');
      expect(others(raw.backend).filter((operation) => operation === 'trigger start')).toHaveLength(1);
    }),
  );

  test("'start' before the stream is open, and while it is held, counts when it can", () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await input.trigger('pause');
      await input.trigger('start');
      await raw.machine.settle();
      expect([input.state, others(raw.backend)]).toEqual(['paused', OPENED]);
      await input.trigger('resume');
      await raw.machine.settle();
      expect([input.state, others(raw.backend)]).toEqual(['running', [...OPENED, 'trigger start']]);
    }));

  test("'pause' and 'resume': what was captured before is still delivered, then the rest", () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      await report(raw, 100);
      await input.trigger('pause');
      expect([input.state, input.readableFlowing]).toEqual(['paused', true]);
      await report(raw, 130); // on its way when PAUSE came
      await input.trigger('resume');
      expect(input.state).toBe('running');
      await report(raw, 250);
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start', 'trigger pause', 'trigger resume']);
      expect(reads(raw.backend)).toEqual(['100 at 0', '30 at 100', '120 at 130']);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 250 * FRAME));
    }));

  test("'pause' before the stream is open keeps a reader from starting it", () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      input.resume();
      await input.trigger('pause');
      await raw.machine.settle();
      expect([input.state, others(raw.backend)]).toEqual(['paused', OPENED]);
      await input.trigger('resume');
      await raw.machine.settle();
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start']);
    }));

  test("a 'pause' that the backend refuses rejects, and it runs on", () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.answer = (request) => (request?.op === 'trigger' ? { status: -5 } : {});
      await expect(input.trigger('pause')).rejects.toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
      expect(input.state).toBe('running');
    }));

  test("'stop' throws away what was captured and not read; the next read begins anew", () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      const opens = follow(input, 'open');
      await report(raw, 100);
      await report(raw, 500);
      await input.trigger('stop');
      await raw.machine.settle();
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start', 'trigger stop', 'close', ...OPENED]);
      expect([input.state, input.position, input.latency]).toEqual(['prepared', 500, 0]);
      raw.backend.toCapture = Buffer.from(SOURCE.subarray(500 * FRAME));
      input.resume();
      await raw.machine.settle();
      expect(input.state).toBe('running');
      await report(raw, 80);
      expect(Buffer.concat(chunks)).toEqual(
        Buffer.concat([SOURCE.subarray(0, 400), SOURCE.subarray(500 * FRAME, 580 * FRAME)]),
      );
      expect([input.position, input.overruns]).toEqual([580, 0]);
      expect(opens).toEqual([]); // it has been opened before
    }));

  test("'stop' with a READ under way: a reader that waits gets what comes next", () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      const stopped = input.trigger('stop');
      letGo();
      await stopped;
      await raw.machine.settle();
      expect(input.state).toBe('running');
      await report(raw, 50);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(400, 600)); // the READ's own 100 frames were thrown away
      expect([input.position, input.latency]).toEqual([150, 0]);
    }));

  test("'stop' before START has been answered", () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      const letGo = raw.backend.holdRequests();
      const chunks = collect(input);
      await raw.machine.settle();
      const stopped = input.trigger('stop');
      letGo();
      await stopped;
      await raw.machine.settle();
      await report(raw, 10);
      expect(chunks).toHaveLength(1);
    }));

  test('any other is refused at once, and after the end all are', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      // @ts-expect-error: no trigger
      expect(() => input.trigger('go')).toThrow(
        expect.objectContaining({
          code: 'ERR_VSND_INVALID_ARG',
          message: 'trigger is "go"; allowed: start, pause, resume, stop',
        }),
      );
      input.destroy();
      for (const trigger of ['start', 'pause', 'resume', 'stop'] as const) {
        await expect(input.trigger(trigger)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
      }
    }));
});

describe('position, latency and clock', () => {
  test('before the stream is open all are 0', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream(TEN_PERIODS);
    expect([input.bufferFrames, input.periodFrames, input.position, input.latency]).toEqual([0, 0, 0, 0]);
    expect(input.clock.frames).toBe(0);
    await guest.machine.settle();
    expect([input.bufferFrames, input.periodFrames]).toEqual([1000, 100]);
    await card.close();
  });

  test('are what the backend reported: frames captured, and those of them that nobody has asked for', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: 100 * FRAME });
    const positions = follow(input, 'position');
    input.on('readable', () => {});
    await guest.machine.settle();
    await guest.clock.advance(350);
    expect([input.position, input.latency, input.positionReports]).toEqual([300, 200, 3]);
    expect(positions).toEqual([100, 200, 300].map((frames) => ['position', { frames }]));
    await card.close();
  });

  test('between reports the clock knows more than the position', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream(TEN_PERIODS);
    input.resume();
    await guest.machine.settle();
    for (let captured = 37; captured < 20_000; captured += 37) {
      await guest.clock.advance(37);
      const { frames, errorFrames } = input.clock;
      expect(Math.abs(frames - captured)).toBeLessThanOrEqual(errorFrames);
      if (captured > 4000) expect(errorFrames).toBeLessThan(100);
    }
    expect(input.overruns).toBe(0);
    await card.close();
  });

  test('the clock never runs backwards, over overruns and pauses, and stands in a pause', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: 100 * FRAME });
    input.on('readable', () => {});
    await guest.machine.settle();
    let last = 0;
    for (let captured = 37; captured < 5000; captured += 37) {
      await guest.clock.advance(37);
      expect(input.clock.frames).toBeGreaterThanOrEqual(last);
      last = input.clock.frames;
    }
    expect(input.overruns).toBeGreaterThan(2);
    await input.trigger('pause');
    const { frames } = input.clock;
    expect(frames).toBeGreaterThanOrEqual(last);
    await guest.clock.advance(5000);
    expect(input.clock.frames).toBe(frames);
    await card.close();
  });
});

describe('a backend whose position does not move', () => {
  const PACED = 'VSND_POSITION_STUCK';
  /** Room for 250 frames in the stream itself: a backend that answers at once is asked no more. */
  const startStuck = async (raw: RawCard, options: Partial<CaptureStreamOptions> = {}) => {
    raw.backend.toCapture = Buffer.from(SOURCE);
    const input = raw.card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: 250 * FRAME, ...options });
    const warnings: StreamWarning[] = [];
    input.on('warning', (warning: StreamWarning) => warnings.push(warning));
    input.on('readable', () => {});
    await raw.machine.settle();
    return { input, warnings };
  };

  test('is asked for a period at a time, with one warning, and what it answers is the position', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      for (let period = 1; period <= 12; period++) await report(raw, 0);
      expect([warnings, reads(raw.backend)]).toEqual([[], []]);
      const letGo = raw.backend.holdRequests();
      await report(raw, 0);
      expect(warnings).toMatchObject([{ code: PACED }]);
      expect(reads(raw.backend)).toEqual(['100 at 0']); // the next one only when this is answered
      expect(input.position).toBe(0);
      letGo();
      await raw.machine.settle();
      expect(reads(raw.backend)).toEqual(['100 at 0', '100 at 100', '100 at 200']);
      expect([input.position, input.latency, input.readableLength]).toEqual([300, 0, 300 * FRAME]);
      for (let period = 1; period <= 20; period++) await report(raw, 0);
      expect(warnings).toHaveLength(1);
      expect(input.read()).toEqual(SOURCE.subarray(0, 300 * FRAME));
      await raw.machine.settle();
      expect(reads(raw.backend)).toHaveLength(6);
      expect([input.position, input.overruns]).toEqual([600, 0]);
    }));

  test('a reader that does not read asks for nothing', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startStuck(raw);
      for (let period = 1; period <= 13; period++) await report(raw, 0);
      await raw.clock.advance(100_000);
      expect(reads(raw.backend)).toHaveLength(3);
      expect(input.readableLength).toBe(300 * FRAME);
    }));

  test('without any report: asked after a second whether it lives, it says so', () =>
    withRawCard('c', async (raw) => {
      const { warnings } = await startStuck(raw);
      await raw.clock.advanceTime(0.99e9);
      expect(warnings).toEqual([]);
      await raw.clock.advanceTime(0.02e9);
      expect(warnings).toMatchObject([{ code: PACED }]);
      expect(raw.backend.operations).toContain('getVolume');
      expect(reads(raw.backend)).toEqual(['100 at 0', '100 at 100', '100 at 200']);
    }));

  test('not so one that moved, and then stands: it may have nothing', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      await report(raw, 1);
      for (let period = 1; period <= 40; period++) await report(raw, 1);
      await raw.clock.advanceTime(3e9);
      expect([warnings, input.position]).toEqual([[], 1]);
    }));

  test('one warning, also where nobody reads', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const warnings = follow(input, 'warning');
      await input.trigger('start');
      await raw.clock.advanceTime(5e9);
      expect([warnings.length, input.state]).toEqual([1, 'running']);
    }));

  test('nor one that is paused', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      await input.trigger('pause');
      for (let period = 1; period <= 40; period++) await report(raw, 0);
      expect([warnings, reads(raw.backend)]).toEqual([[], []]);
    }));

  test('nor one that begins again after an overrun', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      for (let period = 1; period <= 10; period++) await report(raw, 0);
      await report(raw, 1100);
      for (let period = 1; period <= 10; period++) await report(raw, 0);
      expect([warnings, input.overruns]).toEqual([[], 1]);
    }));

  test('what it reports later does not count, until the stream is opened anew', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      for (let period = 1; period <= 13; period++) await report(raw, 0);
      await report(raw, 900);
      expect([warnings.length, input.position, input.latency]).toEqual([1, 300, 0]);
      expect(input.read()).toHaveLength(300 * FRAME);
      await raw.machine.settle();
      await input.trigger('stop');
      expect(input.read()).toHaveLength(300 * FRAME);
      await raw.machine.settle();
      expect([input.state, input.position]).toEqual(['running', 600]);
      await report(raw, 70);
      expect([reads(raw.backend).at(-1), input.position]).toEqual(['70 at 0', 670]);
    }));

  test('finish() waits for the READ under way, and asks for no more', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startStuck(raw);
      const letGo = raw.backend.holdRequests();
      for (let period = 1; period <= 13; period++) await report(raw, 0);
      input.finish();
      letGo();
      await raw.machine.settle();
      expect(reads(raw.backend)).toEqual(['100 at 0']);
      const closed = closing(input);
      expect(input.read()).toEqual(SOURCE.subarray(0, 400));
      expect(await closed).toBeUndefined();
      expect(input.readableEnded).toBe(true);
    }));

  test('a period longer than a second is asked for in seconds: an answer must come within three', () =>
    withRawCard('c', async (raw) => {
      const options = { rate: 8000, channels: 1, format: 'u8', bufferFrames: 40_000, periodFrames: 20_000 };
      const { input } = await startStuck(raw, {
        ...(options as CaptureStreamOptions),
        highWaterMark: 20_000,
      });
      for (let period = 1; period <= 5; period++) await report(raw, 0);
      const asked = raw.backend.requests.flatMap(({ request }) =>
        request?.op === 'read' ? [request.length] : [],
      );
      expect([input.periodFrames, ...asked]).toEqual([20_000, 8000, 8000, 8000]);
    }));
});

describe('a counter that is not the stream’s own', () => {
  const FOREIGN = 1e6;

  test('counts from one period before its first position', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      await report(raw, FOREIGN);
      expect([input.position, reads(raw.backend)]).toEqual([100, ['100 at 0']]);
      await report(raw, FOREIGN + 120);
      expect([input.position, reads(raw.backend)]).toEqual([220, ['100 at 0', '120 at 100']]);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 220 * FRAME));
      expect(input.overruns).toBe(0);
    }));

  test('again after an overrun, and after a stop', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      await report(raw, FOREIGN);
      await report(raw, FOREIGN + 1001);
      expect([input.position, input.overruns]).toEqual([1101, 1]);
      await report(raw, FOREIGN + 1101);
      expect([input.position, input.latency, input.overruns]).toEqual([1201, 100, 1]);
      await input.trigger('stop');
      input.resume();
      await raw.machine.settle();
      await report(raw, FOREIGN + 5000);
      expect([input.position, input.latency, input.overruns]).toEqual([1301, 0, 1]);
    }));

  test.each([2n ** 53n, 2n ** 64n - 1n])('however large: %d bytes', (bytes) =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.sendPosition(bytes);
      await raw.machine.settle();
      expect([input.position, reads(raw.backend)]).toEqual([100, ['100 at 0']]);
    }),
  );

  test('a leap of any size later on is an overrun', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await report(raw, 100);
      raw.backend.sendPosition(2n ** 64n - 1n);
      await raw.machine.settle();
      expect([input.overruns, input.state, reads(raw.backend)]).toEqual([1, 'running', ['100 at 0']]);
      expect(input.position).toBe(100 + 60 * TEN_PERIODS.rate); // no more than a minute is believed
      await report(raw, 50);
      expect(reads(raw.backend)).toEqual(['100 at 0', '50 at 0']);
    }));
});

describe('the backend is gone', () => {
  test.each([
    [6, 'Closed'],
    [2, 'InitWait'],
    ['nonsense', 'Unknown'],
  ])('its state is %s: the stream ends with that, once', (state, name) =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const events = follow(input, 'end', 'close', 'disconnect');
      const closed = closing(input);
      await report(raw, 100);
      await raw.backend.say(state);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_BACKEND_GONE',
        message: expect.stringContaining(name),
      });
      await raw.machine.settle();
      expect(events).toEqual(['close']);
      expect(raw.card.streams).toEqual([]);
    }),
  );

  test('it does not answer a READ for 3 s', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.answer = (request) => (request?.op === 'read' ? undefined : {});
      const closed = closing(input);
      await report(raw, 100);
      await raw.clock.advanceTime(2.9e9);
      expect(input.destroyed).toBe(false);
      await raw.clock.advanceTime(0.2e9);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_BACKEND_GONE',
        message: 'the backend has not answered READ for 3 s',
      });
    }));

  test('it falls silent without a READ under way: found within seconds', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await report(raw, 100);
      raw.backend.answer = () => undefined;
      const closed = closing(input);
      await raw.clock.advanceTime(6e9);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
    }));

  test('a READ that it refuses ends the stream with its status, and it is left in order', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.answer = (request) => (request?.op === 'read' ? { status: -5 } : {});
      const closed = closing(input);
      await report(raw, 100);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_STATUS',
        errno: 'EIO',
        message: 'the backend refused READ of 400 bytes at 0: status -5 (EIO)',
      });
      expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));
});

describe('with `reconnect`', () => {
  /** A stream that has heard 300 frames of SOURCE, on a card whose backend the test can take away, and give back. */
  async function startReconnecting(options: Partial<CaptureStreamOptions> = {}) {
    const { guest, card } = await startCard({ capture: true });
    guest.device.say(SOURCE);
    const input = card.createCaptureStream({ ...TEN_PERIODS, reconnect: true, ...options });
    const chunks = collect(input);
    await guest.machine.settle();
    await guest.clock.advance(350);
    let backend = guest.backend;
    return {
      guest,
      input,
      chunks,
      lose: async () => {
        await backend.close();
        await guest.machine.settle();
      },
      giveBack: async () => {
        backend = await Backend.start(guest.machine.dom0, { deviceFor: () => guest.device });
        await guest.machine.settle();
      },
      end: async () => {
        const leaving = card.close();
        await guest.clock.advanceTime(3e9); // where there is no backend, one may still come
        await leaving;
        await backend.close();
      },
    };
  }

  test('capture goes on with the next backend, by itself; events tell of the gap', async () => {
    const { guest, input, chunks, lose, giveBack, end } = await startReconnecting();
    const events = follow(input, 'disconnect', 'reconnect', 'end', 'close', 'error');
    await lose();
    expect(events).toEqual([
      ['disconnect', { error: expect.objectContaining({ code: 'ERR_VSND_BACKEND_GONE' }), frames: 300 }],
    ]);
    expect([input.state, input.position]).toEqual(['closed', 300]);
    await guest.clock.advanceTime(0.5e9);
    await giveBack();
    await guest.clock.advanceTime(1.5e9);
    await input.trigger('stop'); // opened anew, but by the same backend
    await guest.clock.advance(1000);
    expect(events.slice(1)).toMatchObject([['reconnect', { frames: 300 }]]);
    const [, detail] = events.at(-1) as [string, { gap: number }];
    expect(detail.gap).toBeGreaterThanOrEqual(500);
    expect(detail.gap).toBeLessThanOrEqual(2000);
    const heard = Buffer.concat(chunks);
    const frames = heard.length / FRAME;
    expect(input.state).toBe('running');
    expect(frames).toBeGreaterThan(1300);
    // 350 frames had been captured by the first backend, 50 of them unreported.
    expect(heard.subarray(0, 9000 * FRAME)).toEqual(
      Buffer.concat([SOURCE.subarray(0, 1200), SOURCE.subarray(1200, heard.length)]).subarray(
        0,
        9000 * FRAME,
      ),
    );
    await end();
  });

  test('a stream that was paused stays so', async () => {
    const { guest, input, lose, giveBack, end } = await startReconnecting();
    await input.trigger('pause');
    await lose();
    await giveBack();
    await guest.clock.advanceTime(2e9);
    expect(input.state).toBe('paused');
    const { position } = input;
    await input.trigger('resume');
    await guest.clock.advance(250);
    expect([input.state, input.position]).toEqual(['running', position + 200]);
    await end();
  });

  test('one that nobody reads at the moment captures on', async () => {
    const { guest, input, lose, giveBack, end } = await startReconnecting({ highWaterMark: 400 });
    input.pause();
    await guest.clock.advance(250);
    await lose();
    await giveBack();
    await guest.clock.advanceTime(1e9);
    expect(input.state).toBe('running');
    await end();
  });

  test('finish() while there is no backend ends it well', async () => {
    const { guest, input, chunks, lose, end } = await startReconnecting();
    const events = follow(input, 'end', 'close', 'error');
    await lose();
    input.finish();
    await guest.machine.settle();
    expect(events).toEqual(['end', 'close']);
    expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 300 * FRAME));
    await end();
  });

  test('destroy() while there is no backend ends it at once', async () => {
    const { guest, input, lose, end } = await startReconnecting();
    const events = follow(input, 'end', 'close', 'error');
    await lose();
    input.destroy();
    await guest.machine.settle();
    expect(events).toEqual(['close']);
    await end();
  });

  test('a stream that is finishing as the backend goes does not wait for another one', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw, { reconnect: true });
      const events = follow(input, 'disconnect', 'end', 'close', 'error');
      raw.backend.answer = (request) => (request?.op === 'read' ? undefined : {});
      await report(raw, 100);
      input.finish();
      await raw.backend.say(6);
      await raw.machine.settle();
      expect(events).toMatchObject([['disconnect', { frames: 100 }], 'end', 'close']);
    }));

  test('a READ under way as the backend goes is forgotten', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw, { reconnect: true });
      raw.backend.answer = (request) => (request?.op === 'read' ? undefined : {});
      await report(raw, 100);
      await raw.backend.close();
      raw.backend = await RawBackend.start(raw.machine, raw.guest.domid);
      raw.backend.toCapture = Buffer.from(SOURCE.subarray(100 * FRAME));
      await raw.machine.settle();
      expect([input.state, input.position]).toEqual(['running', 100]);
      await report(raw, 60);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(100 * FRAME, 160 * FRAME));
      expect(input.position).toBe(160);
    }));

  test('it waits for a first backend too', async () => {
    const { guest, card } = await startCard({ capture: true });
    await guest.backend.close();
    await guest.machine.settle();
    expect(() => card.createCaptureStream(TEN_PERIODS)).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_BACKEND_GONE' }),
    );
    const input = card.createCaptureStream({ ...TEN_PERIODS, reconnect: true });
    input.resume();
    const backend = await Backend.start(guest.machine.dom0, { deviceFor: () => guest.device });
    await guest.clock.advanceTime(2e9);
    expect(input.state).toBe('running');
    await card.close();
    await backend.close();
  });
});

describe('volume', () => {
  test('of the backend: what it was told is what it does, and says', async () => {
    const { guest, card } = await startCard({ capture: true });
    guest.device.say(SOURCE);
    const input = card.createCaptureStream(TEN_PERIODS);
    await input.setVolume([-6.5, 3.25]);
    expect(await input.getVolume()).toEqual([-6.5, 3.25]);
    await input.setVolume(0);
    await input.mute([1]);
    expect(input.muted).toEqual([false, true]);
    const chunks = collect(input);
    await guest.machine.settle();
    await guest.clock.advance(200);
    expect(Buffer.concat(chunks)).toEqual(withoutRight(SOURCE.subarray(0, 800)));
    await input.unmute();
    expect(input.muted).toEqual([false, false]);
    await card.close();
  });

  test('a backend without: ERR_VSND_NOT_SUPPORTED, and capture goes on', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      raw.backend.answer = (request) => (/volume|mute/i.test(request?.op ?? '') ? { status: -22 } : {});
      for (const attempt of [input.getVolume(), input.setVolume(-3), input.mute()]) {
        await expect(attempt).rejects.toMatchObject({
          code: 'ERR_VSND_NOT_SUPPORTED',
          message: expect.stringContaining('softwareVolume: true'),
        });
      }
      await report(raw, 100);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 400));
    }));

  test('in the stream: no word of it to the backend', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream({ ...TEN_PERIODS, softwareVolume: true });
      raw.backend.toCapture = Buffer.from(SOURCE);
      await input.setVolume([0, -12]);
      expect(await input.getVolume()).toEqual([0, -12]);
      await input.mute([1]);
      const chunks = collect(input);
      await raw.machine.settle();
      await report(raw, 100);
      expect(Buffer.concat(chunks)).toEqual(withoutRight(SOURCE.subarray(0, 400)));
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start']);
    }));

  test('is told again to a backend that opens the stream anew', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await input.setVolume(-7);
      await input.mute([0]);
      await input.trigger('stop');
      await raw.machine.settle();
      expect(others(raw.backend).slice(-6)).toEqual([...OPENED, 'setVolume', 'mute', 'trigger start']);
    }));

  test('one that then does not take it is a warning', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const warnings = follow(input, 'warning');
      await input.setVolume(-7);
      raw.backend.answer = (request) => (request?.op === 'setVolume' ? { status: -22 } : {});
      await input.trigger('stop');
      await raw.machine.settle();
      expect(warnings).toMatchObject([['warning', { code: 'VSND_VOLUME_LOST' }]]);
      expect(input.state).toBe('running');
    }));

  test('misuse throws at once', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const misuse = expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG' });
      expect(() => input.setVolume([1, 2, 3])).toThrow(misuse);
      expect(() => input.setVolume(Number.NaN)).toThrow(misuse);
      expect(() => input.mute([2])).toThrow(misuse);
      expect(() => input.unmute([-1])).toThrow(misuse);
    }));

  /** The right channel of s16 stereo is silent. */
  function withoutRight(frames: Buffer): Buffer {
    return Buffer.from(frames.map((byte, index) => (index % FRAME < 2 ? byte : 0)));
  }
});

describe('createCaptureStream()', () => {
  test.each([
    [{ rate: 12_345 }, 'rate is 12345; allowed: 44100, 48000 (Hz)'],
    [{ channels: 3 }, 'channels is 3; allowed: 1 to 2'],
    [{ format: 's32_le' as const }, 'format is "s32_le"; allowed: s16_le, u8'],
    [{ bufferFrames: 100_000 }, 'bufferFrames is 100000; allowed: 48 to 16320'],
    [{ periodFrames: 10 }, 'periodFrames is 10; allowed: 48 (1 ms) to 1000'],
    [{ device: 4 }, 'device is 4; allowed: 0'],
    [{ stream: 0 }, 'stream is 0; allowed: 1'],
    [{ reconnect: 'yes' as unknown as boolean }, 'reconnect is "yes"; allowed: true, false'],
    [{ softwareVolume: 1 as unknown as boolean }, 'softwareVolume is 1; allowed: true, false'],
    [{ signal: {} as AbortSignal }, 'signal is an object; allowed: an AbortSignal'],
    [{ signal: null as unknown as AbortSignal }, 'signal is null; allowed: an AbortSignal'],
  ])('%o is refused at once, with what is allowed', async (options, message) => {
    const fields = { 'sample-rates': '44100,48000', 'sample-formats': 's16_le,u8', 'channels-max': '2' };
    const { card } = await startCard({ capture: true, fields });
    expect(() => card.createCaptureStream({ ...TEN_PERIODS, ...options })).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG', message }),
    );
    expect(card.streams).toEqual([]);
    await card.close();
  });

  test('a highWaterMark that is none, and a software volume of a format without samples, leave nothing either', async () => {
    const { guest, card } = await startCard({ capture: true });
    expect(() => card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: -1 })).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG', option: 'highWaterMark' }),
    );
    expect(() =>
      card.createCaptureStream({ ...TEN_PERIODS, format: 'iec958_subframe_le', softwareVolume: true }),
    ).toThrow(expect.objectContaining({ code: 'ERR_VSND_NOT_SUPPORTED' }));
    await guest.machine.settle();
    expect(card.streams).toEqual([]);
    await card.close();
  });

  test('one stream at a time; its place is free when the backend has let go', async () => {
    const { card } = await startCard({ capture: true });
    const first = card.createCaptureStream(TEN_PERIODS);
    expect(() => card.createCaptureStream(TEN_PERIODS)).toThrow(
      expect.objectContaining({
        code: 'ERR_VSND_NO_STREAM',
        message: 'every capture stream of the card that fits is in use',
      }),
    );
    first.destroy();
    await once(first, 'close');
    expect(card.createCaptureStream(TEN_PERIODS).type).toBe('capture');
    await card.close();
  });

  test('a card without capture streams says so', async () => {
    const { card } = await startCard();
    expect(() => card.createCaptureStream(TEN_PERIODS)).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_NO_STREAM', message: 'card 0 has no capture stream' }),
    );
    await card.close();
  });
});

describe('what the card captures is what is read, bit by bit', () => {
  interface Take {
    format: (typeof PCM_FORMATS)[number];
    channels: number;
    rate: number;
    buffer: number;
    period: number;
    highWaterMark: number;
    /** Frames that pass, then whether somebody reads. */
    steps: readonly { frames: number; isRead: boolean }[];
  }

  const takes = fc.record({
    format: fc.constantFrom(...PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined)),
    channels: fc.integer({ min: 1, max: 8 }),
    rate: fc.constantFrom(8000, 11_025, 44_100, 48_000, 192_000),
    buffer: fc.double({ min: 0, max: 1, noNaN: true }),
    period: fc.double({ min: 0, max: 1, noNaN: true }),
    highWaterMark: fc.constantFrom(1, 100, 1000, 16_384, 1_000_000),
    steps: fc.array(fc.record({ frames: fc.integer({ min: 1, max: 900 }), isRead: fc.boolean() }), {
      maxLength: 30,
    }),
  });

  /** All that is read now, and what follows from that. */
  async function readAll(input: CaptureStream, settle: () => Promise<void>): Promise<Buffer[]> {
    const chunks: Buffer[] = [];
    await settle();
    for (let chunk = input.read(); chunk !== null; chunk = input.read()) {
      chunks.push(chunk);
      await settle();
    }
    return chunks;
  }

  /** Records with a reader that may be slow, and compares: all is there, but what overruns say that it is not. */
  async function expectExact({ format, channels, rate, highWaterMark, steps, ...sizes }: Take) {
    const least = Math.ceil(rate / 1000);
    const bufferFrames = 4 * least + Math.floor(sizes.buffer * 1500);
    const periodFrames = least + Math.floor(sizes.period * (bufferFrames / 4 - least));
    const guest = await startTestGuest({ rate, capture: true, fields: { 'buffer-size': '262144' } });
    const card = await openCard({ hypervisor: guest.hypervisor });
    const input = card.createCaptureStream({
      format: format.name,
      channels,
      rate,
      bufferFrames,
      periodFrames,
      highWaterMark,
    });
    const source = noise(steps.reduce((sum, { frames }) => sum + frames, 0) * input.frameBytes);
    guest.device.say(source);
    const gaps: { from: number; to: number }[] = [];
    input.on('overrun', ({ lost, frames }) => gaps.push({ from: frames - lost, to: frames }));
    input.on('readable', () => {});
    const settle = () => guest.machine.settle();
    const chunks: Buffer[] = [];
    await settle();
    for (const { frames, isRead } of steps) {
      await guest.clock.advance(frames);
      if (isRead) chunks.push(...(await readAll(input, settle)));
    }
    input.finish();
    chunks.push(...(await readAll(input, settle)));
    await settle();
    const ends = [...gaps.map(({ from }) => from), input.position];
    const begins = [0, ...gaps.map(({ to }) => to)];
    const expected = Buffer.concat(
      begins.map((begin, n) => source.subarray(begin * input.frameBytes, (ends[n] ?? 0) * input.frameBytes)),
    );
    expect(Buffer.concat(chunks).equals(expected)).toBe(true);
    expect(input.position % periodFrames).toBe(0);
    expect(source.length / input.frameBytes - input.position).toBeLessThan(periodFrames);
    for (const chunk of chunks) expect(chunk.length % input.frameBytes).toBe(0);
    expect(input.readableEnded).toBe(true);
    await card.close();
    await guest.close();
  }

  test('any format, layout, buffer, period, highWaterMark and reader', async () => {
    await fc.assert(fc.asyncProperty(takes, expectExact), { numRuns: 60 });
  }, 60_000);
});
