import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CaptureStream } from '../../../src/frontend/capture-stream.ts';
import { PlaybackStream } from '../../../src/frontend/playback-stream.ts';
import { withRawCard } from '../../frontend/setup.ts';
import { FRAME, noise, STEREO } from '../../sound.ts';
import { SKIP_REASON } from '../stand-in.ts';

const BUFFER = 256;
const PERIOD = 64;
const FORMAT = {
  ...STEREO,
  bufferFrames: BUFFER,
  periodFrames: PERIOD,
} as const;
const SOURCE = noise(20_000 * FRAME);

/** What happens between two rests of the machine. */
type Deed =
  | { readonly deed: 'write'; readonly frames: number }
  /** CUR_POS: so many frames on from the last one; 0 stands, and what is negative falls. */
  | { readonly deed: 'report'; readonly frames: number; readonly skipped: number }
  /** So many reports at once, each a frame on. */
  | { readonly deed: 'storm'; readonly reports: number }
  | { readonly deed: 'hold' | 'let go' | 'pause' | 'resume' | 'stop' | 'volume' | 'end' | 'lose' }
  | { readonly deed: 'refuse'; readonly status: number }
  | { readonly deed: 'wait'; readonly milliseconds: number };

/** `own`: what is done on this direction's streams alone. */
function anyDeed(...own: { weight: number; arbitrary: fc.Arbitrary<Deed> }[]): fc.Arbitrary<Deed> {
  return fc.oneof(
    ...own,
    {
      weight: 12,
      arbitrary: fc.record({
        deed: fc.constant('report' as const),
        frames: fc.integer({ min: 1, max: 100 }),
        skipped: fc.constant(0),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        deed: fc.constant('report' as const),
        frames: fc.oneof(fc.constant(0), fc.integer({ min: -80, max: 3000 })),
        skipped: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3 })),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ deed: fc.constant('storm' as const), reports: fc.integer({ min: 2, max: 60 }) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ deed: fc.constantFrom('hold', 'let go', 'pause', 'resume', 'volume') }),
    },
    { weight: 1, arbitrary: fc.record({ deed: fc.constantFrom('stop', 'lose') }) },
    {
      weight: 1,
      arbitrary: fc.record({ deed: fc.constant('refuse' as const), status: fc.constantFrom(-5, -22) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        deed: fc.constant('wait' as const),
        milliseconds: fc.integer({ min: 1, max: 2000 }),
      }),
    },
  );
}

const playing = anyDeed(
  {
    weight: 6,
    arbitrary: fc.record({ deed: fc.constant('write' as const), frames: fc.integer({ min: 1, max: 700 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ deed: 'end' as const }) },
);

const capturing = anyDeed();

/** What the backend and the user have seen, before a refusal: the thread may find one sooner, where it looks for room. */
interface Seen {
  readonly events: unknown[];
  readonly requests: unknown[];
  /** What was played, or captured. */
  readonly sound: Buffer;
  readonly figures: unknown[];
}

interface Run {
  readonly type: 'p' | 'c';
  /** Bytes. */
  readonly highWaterMark: number;
  readonly deeds: readonly Deed[];
}

/** The same deeds on one of the engines. */
async function enact(engine: 'native' | 'script', { type, highWaterMark, deeds }: Run): Promise<Seen> {
  const events: unknown[] = [];
  const figures: unknown[] = [];
  const heard: Buffer[] = [];
  let seen: Seen | undefined;
  await withRawCard(
    type,
    async ({ card, backend, machine, clock }) => {
      const options = { ...FORMAT, highWaterMark };
      const stream = type === 'p' ? card.createPlaybackStream(options) : card.createCaptureStream(options);
      listen(stream, events, heard);
      backend.toCapture = Buffer.from(SOURCE);
      if (type === 'c') await machine.settle();
      let [written, position, isHeld] = [0, 0, () => {}];
      let [furthest, waited] = [0, 0];
      let status = 0;
      backend.answer = (request) => (request?.op === 'write' || request?.op === 'read' ? { status } : {});
      const note = () => {
        if (seen !== undefined) return;
        const requests = merged(backend.requests.map(({ request }) => request));
        const sound = Buffer.concat(type === 'p' ? backend.written : heard);
        seen = { events: [...events], requests, sound, figures: [...figures] };
      };
      const settled = (promise: Promise<unknown>, name: string) =>
        promise.then(
          () => events.push(name),
          ({ code }) => events.push([name, code]),
        );
      for (const step of deeds) {
        switch (step.deed) {
          case 'write':
            if (!(stream instanceof PlaybackStream && stream.writable)) break;
            stream.write(SOURCE.subarray(written * FRAME, (written + step.frames) * FRAME));
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
            isHeld();
            await machine.settle();
            note();
            status = step.status;
            break;
          case 'pause':
          case 'resume':
          case 'stop':
            void settled(stream.trigger(step.deed), step.deed);
            break;
          case 'volume':
            void settled(stream.setVolume(-3), 'volume');
            break;
          case 'end':
            if (stream instanceof PlaybackStream && stream.writable) stream.end();
            break;
          case 'lose':
            isHeld(); // what is never read depends on how WRITEs are cut
            await machine.settle();
            await backend.say(6);
            break;
          case 'wait':
            if (position > furthest) [furthest, waited] = [position, 0];
            waited += step.milliseconds;
            // Where nothing moves for a second READs pace the stream, and this backend answers them at once, without end.
            if (type === 'c' && waited > 900) break;
            await clock.advanceTime(step.milliseconds * 1e6);
            break;
        }
        await machine.settle();
        const xruns = stream instanceof PlaybackStream ? stream.underruns : stream.overruns;
        figures.push([stream.position, stream.state, xruns]);
      }
      isHeld();
      await machine.settle();
      note();
      stream.destroy();
    },
    { engine },
  );
  if (seen === undefined) throw new Error('nothing was seen');
  return seen;
}

function listen(stream: PlaybackStream | CaptureStream, events: unknown[], heard: Buffer[]): void {
  stream.on('position', ({ frames }) => {
    // By answers to WRITEs it moves as they were cut.
    if (events.includes('VSND_POSITION_STUCK') && Array.isArray(events.at(-1))) events.pop();
    events.push(['position', frames]);
  });
  stream.on('warning', ({ code }) => events.push(code));
  for (const name of ['open', 'finish', 'end', 'close'] as const)
    stream.on(name as 'close', () => events.push(name));
  stream.on('error', (error) => events.push(['error', (error as { code?: string }).code]));
  if (stream instanceof PlaybackStream)
    stream.on('underrun', ({ frames }) => events.push(['underrun', frames]));
  if (!(stream instanceof CaptureStream)) return;
  stream.on('overrun', (overrun) => events.push(['overrun', overrun]));
  stream.on('data', (chunk: Buffer) => heard.push(chunk));
}

/** WRITEs, or READs, that follow upon each other are one: how they are cut is the engine's affair. */
function merged(
  requests: readonly ({ op: string; offset?: number; length?: number } | undefined)[],
): unknown[] {
  const all: { op: string; offset?: number; length?: number }[] = [];
  for (const request of requests) {
    const last = all.at(-1);
    if (request === undefined) continue;
    const isNext = last?.op === request.op && (request.op === 'write' || request.op === 'read');
    if (isNext && (last.offset ?? 0) + (last.length ?? 0) === request.offset) {
      all[all.length - 1] = { ...last, length: (last.length ?? 0) + (request.length ?? 0) };
    } else all.push({ ...request });
  }
  return all.map((request) => (request.op === 'open' ? 'open' : request));
}

/** Frames. */
const HIGH_WATER_MARKS = {
  'a quarter of a period': 16,
  'a period': 64,
  'many periods': 4096,
  'a second': 48_000,
};

describe.skipIf(SKIP_REASON)('both engines, by the same deeds of user and backend', () => {
  const compare = async ({ deeds, ...rest }: Run) => {
    // Out of a small staging ring go many small WRITEs: held ones would fill the thread's list of posts.
    const mayHold = rest.highWaterMark >= BUFFER * FRAME;
    const run = { ...rest, deeds: deeds.filter(({ deed }) => mayHold || deed !== 'hold') };
    const script = await enact('script', run);
    const native = await enact('native', run);
    expect(native.events).toEqual(script.events);
    expect(native.figures).toEqual(script.figures);
    expect(native.requests).toEqual(script.requests);
    expect(native.sound.equals(script.sound)).toBe(true);
  };
  const numRuns = Number(process.env['VSND_TEST_RUNS'] ?? 15);

  test.each(Object.entries(HIGH_WATER_MARKS))('playback, where %s may wait', async (_, frames) => {
    await fc.assert(
      fc.asyncProperty(fc.array(playing, { minLength: 5, maxLength: 40 }), (deeds) =>
        compare({
          type: 'p',
          highWaterMark: frames * FRAME,
          deeds: [{ deed: 'write', frames: 400 }, ...deeds],
        }),
      ),
      { numRuns },
    );
  });

  test.each(Object.entries(HIGH_WATER_MARKS))('capture, where %s may wait', async (_, frames) => {
    await fc.assert(
      fc.asyncProperty(fc.array(capturing, { minLength: 5, maxLength: 40 }), (deeds) =>
        compare({
          type: 'c',
          highWaterMark: frames * FRAME,
          deeds: [{ deed: 'report', frames: 50, skipped: 0 }, ...deeds],
        }),
      ),
      { numRuns },
    );
  });
});
