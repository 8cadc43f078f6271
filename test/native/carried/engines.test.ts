import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../../src/frontend/playback-stream.ts';
import { pattern, withRawCard } from '../../frontend/setup.ts';
import { SKIP_REASON } from '../stand-in.ts';

const FRAME = 4;
const BUFFER = 256;
const PERIOD = 64;
/** Frames: the thread must see that more waits than has room, or it sends a little where JavaScript waits for more. */
const STAGED = 4096;
const FORMAT = {
  rate: 48_000,
  channels: 2,
  format: 's16_le',
  bufferFrames: BUFFER,
  periodFrames: PERIOD,
} as const;
const SOURCE = pattern(20_000 * FRAME);

/** What happens between two rests of the machine. */
type Deed =
  | { readonly deed: 'write'; readonly frames: number }
  /** CUR_POS: so many frames on from the last one; 0 stands, and what is negative falls. */
  | { readonly deed: 'report'; readonly frames: number; readonly skipped: number }
  /** So many reports at once, each a frame on. */
  | { readonly deed: 'storm'; readonly reports: number }
  | { readonly deed: 'hold' | 'let go' | 'pause' | 'resume' | 'drop' | 'volume' | 'end' | 'lose' }
  | { readonly deed: 'refuse'; readonly status: number }
  | { readonly deed: 'wait'; readonly milliseconds: number };

const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ deed: fc.constant('write'), frames: fc.integer({ min: 1, max: 700 }) }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      deed: fc.constant('report'),
      frames: fc.integer({ min: 1, max: 100 }),
      skipped: fc.constant(0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      deed: fc.constant('report'),
      frames: fc.oneof(fc.constant(0), fc.integer({ min: -80, max: 3000 })),
      skipped: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3 })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ deed: fc.constant('storm'), reports: fc.integer({ min: 2, max: 60 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ deed: fc.constantFrom('hold', 'let go', 'pause', 'resume', 'volume') }),
  },
  { weight: 1, arbitrary: fc.record({ deed: fc.constantFrom('drop', 'end', 'lose') }) },
  { weight: 1, arbitrary: fc.record({ deed: fc.constant('refuse'), status: fc.constantFrom(-5, -22) }) },
  {
    weight: 3,
    arbitrary: fc.record({ deed: fc.constant('wait'), milliseconds: fc.integer({ min: 1, max: 2000 }) }),
  },
) as fc.Arbitrary<Deed>;

/** What the backend and the user have seen. */
interface Seen {
  readonly events: unknown[];
  readonly requests: unknown[];
  readonly written: Buffer;
  readonly figures: unknown[];
}

/** The same deeds on one of the engines. */
async function play(engine: 'native' | 'script', deeds: readonly Deed[]): Promise<Seen> {
  const seen = {
    events: [] as unknown[],
    requests: [] as unknown[],
    written: Buffer.alloc(0),
    figures: [] as unknown[],
  };
  await withRawCard(
    'p',
    async ({ card, backend, machine, clock }) => {
      const out = card.createPlaybackStream({ ...FORMAT, highWaterMark: STAGED * FRAME });
      listen(out, seen.events);
      let [written, position, isHeld] = [0, 0, () => {}];
      let status = 0;
      backend.answer = (request) => (request?.op === 'write' ? { status } : {});
      const settled = (promise: Promise<unknown>, name: string) =>
        promise.then(
          () => seen.events.push(name),
          ({ code }) => seen.events.push([name, code]),
        );
      for (const step of deeds) {
        switch (step.deed) {
          case 'write':
            if (!out.writable) break;
            out.write(SOURCE.subarray(written * FRAME, (written + step.frames) * FRAME));
            written += step.frames;
            break;
          case 'report':
            position = Math.max(0, position + step.frames);
            for (let id = 0; id < step.skipped; id++) backend.skipEventId();
            backend.sendPosition(position * FRAME);
            break;
          case 'storm':
            for (let report = 0; report < step.reports; report++) backend.putPosition(++position * FRAME);
            backend.sendPosition(++position * FRAME);
            break;
          case 'hold':
            isHeld();
            isHeld = backend.holdRequests();
            break;
          case 'let go':
            isHeld();
            break;
          case 'refuse':
            status = step.status;
            break;
          case 'pause':
          case 'resume':
            void settled(out.trigger(step.deed), step.deed);
            break;
          case 'drop':
            void settled(out.drop(), 'drop');
            break;
          case 'volume':
            void settled(out.setVolume(-3), 'volume');
            break;
          case 'end':
            if (out.writable) out.end();
            break;
          case 'lose':
            isHeld(); // what is never read depends on how WRITEs are cut
            await machine.settle();
            await backend.say(6);
            break;
          case 'wait':
            await clock.advanceTime(step.milliseconds * 1e6);
            break;
        }
        await machine.settle();
        seen.figures.push([out.position, out.state, out.underruns]);
      }
      isHeld();
      await machine.settle();
      seen.requests.push(...merged(backend.requests.map(({ request }) => request)));
      seen.written = Buffer.concat(backend.written);
      out.destroy();
    },
    { engine },
  );
  return seen;
}

function listen(out: PlaybackStream, events: unknown[]): void {
  out.on('position', ({ frames }) => {
    // By answers to WRITEs it moves as they were cut.
    if (events.includes('VSND_POSITION_STUCK') && Array.isArray(events.at(-1))) events.pop();
    events.push(['position', frames]);
  });
  out.on('underrun', ({ frames }) => events.push(['underrun', frames]));
  out.on('warning', ({ code }) => events.push(code));
  for (const name of ['open', 'finish', 'close'] as const) out.on(name, () => events.push(name));
  out.on('error', (error) => events.push(['error', (error as { code?: string }).code]));
}

/** WRITEs that follow upon each other are one: how they are cut is the engine's affair. */
function merged(
  requests: readonly ({ op: string; offset?: number; length?: number } | undefined)[],
): unknown[] {
  const all: { op: string; offset?: number; length?: number }[] = [];
  for (const request of requests) {
    const last = all.at(-1);
    if (request === undefined) continue;
    const isNext = last?.op === 'write' && request.op === 'write';
    if (isNext && (last.offset ?? 0) + (last.length ?? 0) === request.offset) {
      all[all.length - 1] = { ...last, length: (last.length ?? 0) + (request.length ?? 0) };
    } else all.push({ ...request });
  }
  return all.map((request) => (request.op === 'open' ? 'open' : request));
}

describe.skipIf(SKIP_REASON)('both engines, by the same deeds of user and backend', () => {
  test('send the same requests, put the same bytes in the pages, and tell the user the same', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyDeed, { minLength: 5, maxLength: 40 }), async (deeds) => {
        const script = await play('script', [{ deed: 'write', frames: 400 }, ...deeds]);
        const native = await play('native', [{ deed: 'write', frames: 400 }, ...deeds]);
        expect(native.events).toEqual(script.events);
        // The thread may find a refusal where it looks for room, before the next position comes.
        const refused = deeds.findIndex(({ deed }) => deed === 'refuse');
        const alike = refused < 0 ? native.figures.length : refused;
        expect(native.figures.slice(0, alike)).toEqual(script.figures.slice(0, alike));
        expect(native.figures.at(-1)).toEqual(script.figures.at(-1));
        expect(native.requests).toEqual(script.requests);
        expect(native.written.equals(script.written)).toBe(true);
      }),
      { numRuns: Number(process.env['VSND_TEST_RUNS'] ?? 60) },
    );
  });
});
