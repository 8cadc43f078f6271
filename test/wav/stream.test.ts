import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeWavHeader, WAV_FORMATS } from '../../src/wav/header.ts';
import { packS24, widenS24 } from '../../src/wav/repack.ts';
import { createWavFile, wavInto } from '../../src/wav/stream.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { readAll, useDirectory } from './files.ts';

const files = useDirectory();
const stereo = { format: 's16_le', rate: 8000, channels: 2 } as const;
const headerBytes = encodeWavHeader(stereo, 0).length;
const hasSox = spawnSync('sox', ['--version']).error === undefined;

/** Whole frames; for s24_le, the fourth byte of a sample is the sign of the third. */
function frames(count: number, frameBytes: number, isS24 = false): Uint8Array {
  const bytes = Uint8Array.from({ length: count * frameBytes }, (_, index) => (index * 167) >>> 3);
  return isS24 ? widenS24(packS24(bytes)) : bytes;
}

describe('a file', () => {
  const cases = WAV_FORMATS.flatMap((format) => [1, 2, 3].map((channels) => [format, channels] as const));

  test.each(cases)('%s, %i channels: what goes in is read', async (format, channels) => {
    const frameBytes = (pcmFormat(format).sampleBytes ?? 0) * channels;
    const property = fc.asyncProperty(fc.array(fc.nat(40), { maxLength: 4 }), async (pieces) => {
      const chunks = pieces.map((count) => frames(count, frameBytes, format === 's24_le'));
      const wav = await createWavFile(files.path('x.wav'), { format, rate: 44_100, channels });
      await pipeline(Readable.from(chunks, { objectMode: false }), wav);
      const count = pieces.reduce((sum, piece) => sum + piece, 0);
      expect(wav.frames).toBe(count);
      if (!wav.closed) await once(wav, 'close');
      const bytes = Buffer.concat(chunks);
      const expected = { format, rate: 44_100, channels, frames: count, truncated: false, bytes };
      expect(await readAll(files.path('x.wav'))).toEqual(expected);
      expect(readFileSync(files.path('x.wav')).length % 2).toBe(0);
      expect(readFileSync(files.path('x.wav')).readUInt32LE(4)).toBe(
        readFileSync(files.path('x.wav')).length - 8,
      );
    });
    await fc.assert(property, { numRuns: 10 });
  });

  test('can be read while it is written, as after a crash', async () => {
    const wav = await createWavFile(files.path('x.wav'), stereo);
    const bytes = frames(100, 4);
    await new Promise((resolve) => wav.write(bytes, resolve));
    expect(await readAll(files.path('x.wav'))).toMatchObject({ frames: 100, truncated: false });
    expect(readFileSync(files.path('x.wav')).readUInt32LE(4)).toBe(0xffff_ffff);
    wav.destroy();
    await once(wav, 'close');
  });

  test('has its length however it ends', async () => {
    const wav = await createWavFile(files.path('x.wav'), stereo);
    await new Promise((resolve) => wav.write(frames(100, 4), resolve));
    wav.destroy(new Error('the backend is gone'));
    await expect(once(wav, 'close')).rejects.toThrow('the backend is gone');
    if (!wav.closed) await once(wav, 'close');
    expect(readFileSync(files.path('x.wav')).readUInt32LE(4)).toBe(headerBytes - 8 + 400);
    expect(await readAll(files.path('x.wav'))).toMatchObject({ frames: 100, truncated: false });
  });

  test('has the length of what is in it where it ends amid writes', async () => {
    for (let round = 0; round < 10; round++) {
      const wav = await createWavFile(files.path('x.wav'), stereo);
      await new Promise((resolve) => wav.write(frames(20_000, 4), resolve));
      wav.write(frames(20_000, 4)); // under way
      wav.write(frames(20_000, 4)); // waiting
      wav.destroy();
      await once(wav, 'close');
      const whole = readFileSync(files.path('x.wav'));
      const length = whole.length - headerBytes;
      expect(length).toBe(160_000);
      expect([whole.readUInt32LE(4), whole.readUInt32LE(headerBytes - 4)]).toEqual([
        whole.length - 8,
        length,
      ]);
      expect(wav.frames).toBe(length / 4);
    }
  });

  test('replaces an older, longer one', async () => {
    const path = files.put('x.wav', new Uint8Array(5000).fill(0xaa));
    const wav = await createWavFile(path, stereo);
    await pipeline(Readable.from([frames(3, 4)], { objectMode: false }), wav);
    if (!wav.closed) await once(wav, 'close');
    expect(readFileSync(path).length).toBe(headerBytes + 12);
  });

  test.each<[string, () => string, string]>([
    ['a directory', () => files.path('.'), 'it is a directory'],
    ['a named pipe', () => makeFifo(), 'it is not a regular file'],
    ['a device', () => '/dev/full', 'it is not a regular file'],
    ['in no directory', () => files.path('none/x.wav'), 'no such file or directory (ENOENT)'],
  ])('is no file that is %s', async (_, make, reason) => {
    const path = make();
    const failed = createWavFile(path, stereo);
    await expect(failed).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      message: `cannot create ${path}: ${reason}`,
    });
  });

  test('is not touched for a format that WAV cannot hold', async () => {
    const failed = createWavFile(files.path('x.wav'), { ...stereo, format: 's16_be' });
    await expect(failed).rejects.toMatchObject({ code: 'ERR_VSND_NOT_SUPPORTED' });
    expect(existsSync(files.path('x.wav'))).toBe(false);
  });

  function makeFifo(): string {
    execFileSync('mkfifo', [files.path('pipe')]);
    return files.path('pipe');
  }
});

describe('into another stream', () => {
  test('goes a file up to the end, and the stream goes on', async () => {
    const out = new PassThrough();
    const bytes = frames(50, 4);
    await pipeline(Readable.from([bytes], { objectMode: false }), wavInto(out, 'the pipe', stereo));
    expect(out.writableEnded).toBe(false);
    out.end();
    const whole = Buffer.concat(await out.toArray());
    expect(whole.readUInt32LE(4)).toBe(0xffff_ffff);
    expect(whole.readUInt32LE(headerBytes - 4)).toBe(0xffff_ffff);
    expect(await readAll(files.put('x.wav', whole))).toMatchObject({ frames: 50, truncated: false });
    expect(whole.subarray(headerBytes).equals(bytes)).toBe(true);
  });

  test.skipIf(!hasSox)('which sox reads (skipped where it is not installed)', async () => {
    for (const format of ['s16_le', 's24_le', 'float_le'] as const) {
      const out = new PassThrough();
      const wav = wavInto(out, 'the pipe', { format, rate: 48_000, channels: 2 });
      const bytes = frames(50, 2 * (pcmFormat(format).sampleBytes ?? 0), format === 's24_le');
      await pipeline(Readable.from([bytes], { objectMode: false }), wav);
      out.end();
      const input = Buffer.concat(await out.toArray());
      const args = ['-V1', '-t', 'wav', '-', '-t', 'raw', '-'];
      const { stdout } = spawnSync('sox', args, { input });
      expect(stdout.length, format).toBe(format === 's24_le' ? 50 * 6 : bytes.length);
    }
  });

  test('fails as the stream does, by its name', async () => {
    const out = new Writable({
      write: (_chunk, _encoding, callback) => {
        callback(Object.assign(new Error('EPIPE'), { code: 'EPIPE', errno: -32, syscall: 'write' }));
      },
    });
    out.on('error', () => {});
    const failed = pipeline(
      Readable.from([frames(1, 4)], { objectMode: false }),
      wavInto(out, 'the pipe', stereo),
    );
    await expect(failed).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      errno: 'EPIPE',
      message: 'cannot write to the pipe: broken pipe (EPIPE)',
    });
  });

  test('waits for a slow one', async () => {
    let release = () => {};
    const out = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, callback) => {
        release = () => callback();
      },
    });
    const wav = wavInto(out, 'the pipe', stereo);
    await new Promise((resolve) => setImmediate(resolve));
    release(); // the header
    await new Promise((resolve) => setImmediate(resolve));
    let written = false;
    wav.write(frames(10, 4), () => {
      written = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect([written, wav.frames]).toEqual([false, 0]);
    release();
    await new Promise((resolve) => setImmediate(resolve));
    expect([written, wav.frames]).toEqual([true, 10]);
  });
});

describe('a header without a length', () => {
  test.each(WAV_FORMATS)('is as long as one with it: %s', (format) => {
    const wav = { format, rate: 8000, channels: 2 };
    const unsized = Buffer.from(encodeWavHeader(wav, undefined));
    const sized = Buffer.from(encodeWavHeader(wav, 0));
    expect(unsized.length).toBe(sized.length);
    expect(unsized.toString('latin1', 0, 4)).toBe('RIFF');
    expect(unsized.readUInt32LE(unsized.length - 4)).toBe(0xffff_ffff);
  });
});
