import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isVsndError } from '../../src/errors.ts';
import { encodeWavHeader, parseWavHeader, WAV_FORMATS, type WavHeader } from '../../src/wav/header.ts';
import { packS24, widenS24 } from '../../src/wav/repack.ts';
import { WavWriter } from '../../src/wav/writer.ts';
import { PCM_FORMATS, pcmFormat } from '../../src/wire/pcm-format.ts';
import { readAll, useDirectory } from './files.ts';

const files = useDirectory();

function parse(bytes: Uint8Array): WavHeader {
  const parser = parseWavHeader('test');
  let step = parser.next();
  while (!step.done) {
    const { offset, length } = step.value;
    step = parser.next(bytes.subarray(offset, offset + length));
  }
  return step.value;
}

describe('the header', () => {
  const format = fc.record({
    format: fc.constantFrom(...WAV_FORMATS),
    rate: fc.integer({ min: 1, max: 0xffff_ffff }),
    channels: fc.integer({ min: 1, max: 8191 }),
  });

  test('read again, says what was written, for any format and size', () => {
    fc.assert(
      fc.property(format, fc.oneof(fc.nat(), fc.bigInt(1n, 1n << 50n)), (wav, size) => {
        const dataBytes = Number(size);
        const bytes = encodeWavHeader(wav, dataBytes);
        const { containerBytes, ...header } = parse(bytes);
        expect(header).toEqual({ ...wav, dataOffset: bytes.length, dataBytes: dataBytes || undefined });
        expect(bytes.length).toBe(encodeWavHeader(wav, 0).length);
      }),
    );
  });

  test('becomes RF64 where RIFF has no room', () => {
    const wav = { format: 's16_le', rate: 48_000, channels: 2 } as const;
    const room = 0xffff_ffff - 80 + 8;
    const form = (dataBytes: number) =>
      Buffer.from(encodeWavHeader(wav, dataBytes)).toString('latin1', 0, 16);
    expect(form(room - 4)).toMatch(/^RIFF....WAVEJUNK$/s);
    expect(form(room)).toBe('RF64\xff\xff\xff\xffWAVEds64');
    expect(parse(encodeWavHeader(wav, 2 ** 40)).dataBytes).toBe(2 ** 40);
  });

  test('refuses what WAV cannot hold', () => {
    for (const { name } of PCM_FORMATS) {
      const encode = () => encodeWavHeader({ format: name, rate: 8000, channels: 1 }, 0);
      if (WAV_FORMATS.includes(name)) encode();
      else expect(encode).toThrow(`a WAV file cannot hold ${name}; allowed: u8, s16_le, s24_le`);
    }
  });
});

describe('repacking', () => {
  test('24 bits come back, with their sign in the fourth byte', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -(2 ** 23), max: 2 ** 23 - 1 })), (samples) => {
        const wide = new Uint8Array(Int32Array.from(samples).buffer);
        expect(widenS24(packS24(wide))).toEqual(wide);
      }),
    );
  });
});

describe('the writer', () => {
  const cases = WAV_FORMATS.flatMap((format) =>
    [1, 2, 3, 6, 8].map((channels) => [format, channels] as const),
  );

  test.each(cases)('%s, %i channels: what is written is read', async (format, channels) => {
    const bytes = (pcmFormat(format).sampleBytes ?? 0) * channels;
    const property = fc.asyncProperty(
      fc.array(fc.nat(40), { maxLength: 4 }),
      fc.nat(),
      async (pieces, seed) => {
        const path = files.path('x.wav');
        const writer = new WavWriter(path, { format, rate: 44_100, channels });
        const written = pieces.map((frames) => pattern(frames * bytes, seed, format === 's24_le'));
        for (const piece of written) writer.write(piece);
        const frames = pieces.reduce((sum, count) => sum + count, 0);
        expect(writer.frames).toBe(frames);
        writer.close();
        expect(readFileSync(path).length % 2).toBe(0);
        const wav = await readAll(path);
        expect(wav).toEqual({
          format,
          rate: 44_100,
          channels,
          frames,
          truncated: false,
          bytes: Buffer.concat(written),
        });
      },
    );
    await fc.assert(property, { numRuns: 15 });
  });

  test('the file is valid before it is closed, and closing twice is harmless', async () => {
    const path = files.path('x.wav');
    const writer = new WavWriter(path, { format: 's16_le', rate: 8000, channels: 1 });
    expect(await readAll(path)).toMatchObject({ frames: 0, truncated: false });
    writer.write(new Uint8Array(6));
    expect(await readAll(path)).toMatchObject({ frames: 3, truncated: false });
    writer.close();
    writer.close();
    expect(await readAll(path)).toMatchObject({ frames: 3, truncated: false });
    expect(() => writer.write(new Uint8Array(2))).toThrow(`${path} is closed`);
  });

  test('an older, longer file leaves nothing behind', async () => {
    const path = files.put('x.wav', new Uint8Array(5000).fill(0xaa));
    new WavWriter(path, { format: 'u8', rate: 8000, channels: 1 }).close();
    expect(readFileSync(path).length).toBe(
      encodeWavHeader({ format: 'u8', rate: 8000, channels: 1 }, 0).length,
    );
  });

  test('part of a frame is refused', () => {
    const writer = new WavWriter(files.path('x.wav'), { format: 's24_le', rate: 8000, channels: 2 });
    expect(() => writer.write(new Uint8Array(12))).toThrow('bytes is 12; allowed: a multiple of 8');
    writer.close();
  });

  test.each([
    ['rate', 0],
    ['rate', 1.5],
    ['rate', 2 ** 32],
    ['channels', 0],
    ['channels', 32_768],
  ])('%s %d is refused, and no file is made', (option, value) => {
    const wav = { format: 's16_le', rate: 8000, channels: 1, [option]: value } as const;
    expect(() => new WavWriter(files.path('x.wav'), wav)).toThrow(`${option} is ${value}; allowed: 1 to `);
    expect(existsSync(files.path('x.wav'))).toBe(false);
  });

  test.each([
    ['a directory that is not there', () => files.path('none/x.wav'), 'ENOENT'],
    ['a directory', () => files.path('.'), 'EISDIR'],
  ])('%s', (_, path, errno) => {
    try {
      new WavWriter(path(), { format: 's16_le', rate: 8000, channels: 1 });
      expect.unreachable();
    } catch (error) {
      expect(isVsndError(error, 'ERR_VSND_FILE')).toBe(true);
      expect(error).toMatchObject({ errno, message: expect.stringContaining(`${path()}: `) });
    }
  });

  const hasSox = spawnSync('sox', ['--version']).error === undefined;

  test.skipIf(!hasSox)('sox reads every format (skipped where it is not installed)', () => {
    // One sample each: sox keeps 32 bits inside, which hold a float of 0.5 exactly.
    const cases = [
      ['u8', 'u8', '3e', '3e'],
      ['s16_le', 's16', '3e12', '3e12'],
      ['s24_le', 's24', '3e1204ff', '3e1204'],
      ['s32_le', 's32', '3e120407', '3e120407'],
      ['float_le', 'f32', '0000003f', '0000003f'],
      ['float64_le', 'f64', '000000000000e03f', '000000000000e03f'],
    ] as const;
    for (const [format, type, sample, expected] of cases) {
      for (const channels of [1, 2, 6]) {
        const path = files.path('x.wav');
        const writer = new WavWriter(path, { format, rate: 96_000, channels });
        writer.write(Buffer.from(sample.repeat(33 * channels), 'hex'));
        writer.close();
        const heard = execFileSync('sox', ['-D', '-V1', path, '-t', type, '-']).toString('hex');
        expect(heard, `${format}, ${channels} channels`).toBe(expected.repeat(33 * channels));
      }
    }
  });
});

/** Bytes that differ from place to place; for s24_le, the fourth is the sign of the third. */
function pattern(length: number, seed: number, signed: boolean): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, index) => (seed + index * 167) >>> 3);
  return signed ? widenS24(packS24(bytes)) : bytes;
}
