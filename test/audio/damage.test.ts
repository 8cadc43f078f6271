import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openAudio } from '../../src/audio/open-audio.ts';
import { VsndError } from '../../src/errors.ts';
import { FRAME } from '../sound.ts';
import { useDirectory } from '../wav/files.ts';
import { contents, fixture, trickle } from './contents.ts';
import { largestDifference } from './likeness.ts';
import { type OggPageFields, oggPages, withPages } from './ogg-pages.ts';
import { SIGNALS, wavOf } from './recordings.js';

const files = useDirectory();

/** Nothing that a decoder has to say may reach the terminal. */
const noise = ['log', 'info', 'warn', 'error'] as const;
beforeEach(() => {
  for (const method of noise) vi.spyOn(console, method).mockImplementation(() => {});
});
afterEach(() => {
  for (const method of noise) expect(console[method]).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

const FIXTURES: [string, Uint8Array][] = [
  ...readdirSync(fixture('.')).map((name): [string, Uint8Array] => [name, readFileSync(fixture(name))]),
  ['noise16.wav', wavOf(SIGNALS.noise16)],
];

interface Flip {
  at: number;
  bits: number;
}

interface Damage {
  /** Bytes that are left. */
  cut: number;
  flips: Flip[];
  headFlips: Flip[];
  lost: { at: number; length: number };
}

interface Flip {
  at: number;
  bits: number;
}

interface Damage {
  /** Bytes that are left. */
  cut: number;
  flips: Flip[];
  headFlips: Flip[];
  lost: { at: number; length: number };
}

const flips = (length: number, maxLength: number): fc.Arbitrary<Flip[]> =>
  fc.array(fc.record({ at: fc.nat(length - 1), bits: fc.integer({ min: 1, max: 255 }) }), { maxLength });

/** Damage that real files have, and worse. */
const damage = (length: number): fc.Arbitrary<Damage> =>
  fc.record({
    cut: fc.option(fc.nat(length), { nil: length, freq: 2 }),
    flips: flips(length, 20),
    headFlips: flips(200, 2),
    lost: fc.option(fc.record({ at: fc.nat(length - 1), length: fc.nat(5000) }), {
      nil: { at: 0, length: 0 },
    }),
  });

function flip(bytes: Uint8Array, changes: readonly Flip[]): void {
  for (const { at, bits } of changes) if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ bits;
}

/** The one law: frames, or a VsndError. */
async function readAnyway(path: string, bytes: Uint8Array): Promise<void> {
  for (const [input, from] of [
    [path, 0],
    [path, 1234],
    [trickle(bytes, 700), 0],
  ] as const) {
    try {
      const { bytes, channels, frames } = await contents(input, {}, from);
      expect(bytes.length % channels).toBe(0);
      if (frames !== undefined) expect(bytes.length).toBeLessThanOrEqual(frames * channels * 8);
    } catch (error) {
      if (!(error instanceof VsndError)) throw error;
    }
  }
}

describe('whatever is wrong with a recording: frames, or a VsndError', () => {
  test.each(FIXTURES)('%s', async (name, bytes) => {
    const run = async ({ cut, flips, headFlips, lost }: Damage) => {
      const damaged = Buffer.from(bytes);
      flip(damaged, [...flips, ...headFlips]);
      const [before, behind] = [damaged.subarray(0, lost.at), damaged.subarray(lost.at + lost.length)];
      const rest = Buffer.concat([before, behind]).subarray(0, cut);
      await readAnyway(files.put(name, rest), rest);
    };
    await fc.assert(fc.asyncProperty(damage(bytes.length), run), { numRuns: 20, endOnFailure: true });
  });

  test.each(FIXTURES.filter(([, bytes]) => Buffer.from(bytes).toString('latin1', 0, 4) === 'OggS'))(
    '%s, and the checksums do not show it',
    async (name, bytes) => {
      const run = async (changes: readonly [page: number, flips: Flip[]][]) => {
        const damaged = withPages(bytes, (pages) => {
          for (const [page, flips] of changes)
            flip((pages[page % pages.length] as OggPageFields).body, flips);
        });
        await readAnyway(files.put(name, damaged), damaged);
      };
      // The first pages have the headers.
      const page = fc.oneof(fc.nat(2), fc.nat(50));
      const changes = fc.array(fc.tuple(page, flips(4000, 4)), { minLength: 1, maxLength: 4 });
      await fc.assert(fc.asyncProperty(changes, run), { numRuns: 12, endOnFailure: true });
    },
  );
});

describe('FLAC', () => {
  const bytes = readFileSync(fixture('noise16.flac'));
  const BLOCK = 1152;

  test('cut short: what is there, and how much that is', async () => {
    const whole = await contents(fixture('noise16.flac'));
    const cut = await contents(files.put('x.flac', bytes.subarray(0, bytes.length / 2)));
    expect(cut.warnings).toEqual(['ends early']);
    expect(cut.frames).toBeGreaterThan(0);
    expect((cut.frames as number) % BLOCK).toBe(0);
    expect(cut.bytes.equals(whole.bytes.subarray(0, (cut.frames as number) * FRAME))).toBe(true);

    const stream = await contents(trickle(bytes.subarray(0, bytes.length / 2), 999));
    expect(stream).toMatchObject({ frames: SIGNALS.noise16.frames, warnings: ['ends early'] });
    expect(stream.bytes.equals(cut.bytes)).toBe(true);
  });

  test('a damaged frame is silent, and what follows at its place', async () => {
    const whole = await contents(fixture('noise16.flac'));
    const damaged = Buffer.from(bytes);
    const middle = Math.floor(bytes.length / 2);
    damaged[middle] = (damaged[middle] as number) ^ 0x10;
    const { bytes: data, frames, warnings } = await contents(files.put('x.flac', damaged));
    expect({ frames, warnings }).toEqual({
      frames: whole.frames,
      warnings: ['is damaged: what is missing is silent'],
    });
    expect(data.length).toBe(whole.bytes.length);
    const differs = Array.from({ length: whole.frames as number }, (_, frame) => frame).filter(
      (frame) => data.readInt32LE(frame * FRAME) !== whole.bytes.readInt32LE(frame * FRAME),
    );
    const [first = -1, last = -1] = [differs[0], differs.at(-1)];
    expect(first % BLOCK).toBeLessThan(2); // a frame of sound may be silent by nature
    expect(last - first).toBeLessThan(BLOCK);
    expect(data.subarray(first * FRAME, last * FRAME).every((byte) => byte === 0)).toBe(true);
  });

  test('nothing but metadata', async () => {
    const cut = (length: number) => contents(files.put('x.flac', bytes.subarray(0, 42 + length)));
    await expect(cut(200)).rejects.toThrow('x.flac holds no frames: what follows its header is no sound');
    expect(await cut(4)).toMatchObject({ frames: 0, warnings: ['ends early'], bytes: Buffer.alloc(0) });
  });

  test('with tags before and behind', async () => {
    const id3 = Buffer.concat([Buffer.from('ID3\x04\0\0\0\0\x01\x00', 'latin1'), Buffer.alloc(128)]);
    const path = files.put('x.flac', Buffer.concat([id3, bytes, Buffer.from('TAG'), Buffer.alloc(125)]));
    expect((await contents(path)).bytes.equals((await contents(fixture('noise16.flac'))).bytes)).toBe(true);
  });
});

describe('Ogg', () => {
  const bytes = readFileSync(fixture('sweep.opus'));

  test('a lost page is silent, and what follows at its place', async () => {
    const whole = await contents(fixture('sweep.opus'));
    const pages = oggPages(bytes);
    const lost = pages.findIndex(({ granule }) => granule > 48_000n);
    const rest = Buffer.concat(pages.filter((_, index) => index !== lost).map(({ bytes }) => bytes));
    const { bytes: data, frames, warnings } = await contents(files.put('x.opus', rest));
    expect({ frames, warnings }).toEqual({
      frames: whole.frames,
      warnings: ['is damaged: what is missing is silent'],
    });
    expect(data.length).toBe(whole.bytes.length);
    const tail = -8 * 24_000; // where the decoder has forgotten the hole
    expect(largestDifference(data.subarray(tail), whole.bytes.subarray(tail))).toBeLessThan(1e-4);
  });

  test('the gain of an Opus header', async () => {
    const louder = withPages(bytes, ([head]) => (head as OggPageFields).body.writeInt16LE(-6 * 256, 16));
    const [plain, quiet] = [
      await contents(fixture('sweep.opus')),
      await contents(files.put('x.opus', louder)),
    ];
    for (let at = 4 * 96_000; at < 4 * 96_400; at += 4) {
      expect(quiet.bytes.readFloatLE(at)).toBeCloseTo(plain.bytes.readFloatLE(at) * 10 ** (-6 / 20), 6);
    }
  });

  test('one recording behind the other: both, from the start only', async () => {
    const [first, second] = [readFileSync(fixture('sweep.ogg')), readFileSync(fixture('sweep.ogg'))];
    const other = withPages(second, (pages) => {
      for (const page of pages) page.serial = 99;
    });
    const whole = await contents(fixture('sweep.ogg'));
    const path = files.put('x.ogg', Buffer.concat([first, other]));
    const chained = await contents(path);
    expect(chained).toMatchObject({ frames: undefined, isSeekable: false, warnings: [] });
    expect(chained.bytes.equals(Buffer.concat([whole.bytes, whole.bytes]))).toBe(true);
    expect((await contents(trickle(Buffer.concat([first, other]), 5000))).bytes.equals(chained.bytes)).toBe(
      true,
    );
  });

  test('one behind the other, of another format: converted to that of the first', async () => {
    const both = Buffer.concat([readFileSync(fixture('sweep.ogg')), readFileSync(fixture('mono.ogg'))]);
    const { warnings, bytes } = await contents(files.put('x.ogg', both));
    expect(warnings).toEqual([]);
    expect(bytes.length).toBe((SIGNALS.sweep44.frames + 2 * SIGNALS.sweep22.frames) * 8);
  });

  test('a part of a broadcast, which does not begin at 0', async () => {
    const whole = await contents(fixture('sweep.ogg'));
    const pages = oggPages(readFileSync(fixture('sweep.ogg')));
    const entered = Buffer.concat([...pages.slice(0, 2), ...pages.slice(3)].map(({ bytes }) => bytes));
    const { frames, bytes } = await contents(files.put('x.ogg', entered));
    expect(bytes.length).toBe((frames as number) * 8);
    expect(bytes.length).toBeLessThan(whole.bytes.length);
    expect(bytes.subarray(-8 * 20_000).equals(whole.bytes.subarray(-8 * 20_000))).toBe(true);
  });

  test('of something else', async () => {
    const speex = withPages(bytes, ([head]) => (head as OggPageFields).body.write('Speex   '));
    await expect(openAudio(files.put('x.spx', speex))).rejects.toThrow(
      'x.spx holds nothing in its Ogg pages that can be played; allowed: Vorbis, Opus, FLAC',
    );
  });
});

describe('MPEG', () => {
  const bytes = readFileSync(fixture('vbr.mp3'));

  test('cut short', async () => {
    const whole = await contents(fixture('vbr.mp3'));
    const cut = await contents(files.put('x.mp3', bytes.subarray(0, bytes.length / 2)));
    expect(cut.warnings).toEqual(['ends early']);
    expect(cut.bytes.length).toBe((cut.frames as number) * 8);
    expect(cut.bytes.equals(whole.bytes.subarray(0, cut.bytes.length))).toBe(true);
  });

  test('that begins within a frame, as a broadcast does', async () => {
    const { kind, frames, bytes: data } = await contents(trickle(bytes.subarray(3000), 700));
    expect(kind).toBe('MP3');
    expect(frames).toBeUndefined();
    expect(data.length).toBeGreaterThan(0);
  });
});
