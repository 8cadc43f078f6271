import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { openAudio } from '../../src/audio/open-audio.ts';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';
import { ascii, chunk, fmt, riff, useDirectory } from '../wav/files.ts';
import { contents, framesFrom, trickle } from './contents.ts';

const files = useDirectory();

const sound = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

describe('WAV', () => {
  test('from a file', async () => {
    const path = files.put('x.wav', riff(fmt(), chunk('data', sound)));
    expect(await contents(path)).toEqual({
      name: path,
      kind: 'WAV',
      format: 's16_le',
      rate: 48_000,
      channels: 2,
      frames: 2,
      isSeekable: true,
      warnings: [],
      bytes: Buffer.from(sound),
    });
  });

  test.each([1, 3, 1000])('from a stream, %i bytes at a time', async (size) => {
    const bytes = riff(chunk('LIST', new Uint8Array(99)), fmt(), chunk('data', sound), chunk('LIST', sound));
    expect(await contents(trickle(bytes, size))).toMatchObject({
      name: 'standard input',
      frames: 2,
      isSeekable: false,
      warnings: [],
      bytes: Buffer.from(sound),
    });
  });

  test('24 bits take 4 bytes a sample', async () => {
    const bytes = riff(fmt({ bits: 24, channels: 1 }), chunk('data', Uint8Array.of(1, 2, 0x80, 4, 5, 6)));
    const { format, bytes: data } = await contents(files.put('x.wav', bytes));
    expect(format).toBe('s24_le');
    expect([...data]).toEqual([1, 2, 0x80, 0xff, 4, 5, 6, 0]);
  });

  test('ends early: what is there, and a warning', async () => {
    const bytes = riff(fmt(), chunk('data', sound, 400));
    const whole = { warnings: ['ends early'], bytes: Buffer.from(sound) };
    expect(await contents(files.put('x.wav', bytes))).toMatchObject({ ...whole, frames: 2 });
    expect(await contents(trickle(bytes, 7))).toMatchObject({ ...whole, frames: 100 });
  });

  test('from any frame on, and again', async () => {
    const path = files.put('x.wav', riff(fmt(), chunk('data', sound)));
    const source = await openAudio(path);
    expect([...(await framesFrom(source, 1))]).toEqual([5, 6, 7, 8]);
    expect([...(await framesFrom(source, 2))]).toEqual([]);
    expect([...(await framesFrom(source, 99))]).toEqual([]);
    expect([...(await framesFrom(source, 0))]).toEqual([...sound]);
    expect(() => source.read(-1)).toThrow('from is -1; allowed: 0 or more (frames)');
    expect(() => source.read(0.5)).toThrow('from is 0.5');
    await source.close();
    await source.close();
    await expect(framesFrom(source, 0)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
  });
});

describe('raw PCM', () => {
  test.each<[PcmFormatName, number, number]>([
    ['s16_be', 2, 2],
    ['u8', 1, 8],
    ['float64_le', 1, 1],
    ['s24_le', 2, 1],
  ])('%s in %i channels', async (format, channels, frames) => {
    const raw = { format, channels, rate: 8000 };
    const bytes = Buffer.concat([sound, sound.subarray(0, frames === 8 ? 0 : 1)]);
    const whole = { kind: 'raw PCM', format, channels, rate: 8000, warnings: [], bytes: Buffer.from(sound) };
    expect(await contents(files.put('x.raw', bytes), { raw })).toMatchObject({ ...whole, frames });
    expect(await contents(trickle(bytes, 3), { raw })).toMatchObject({ ...whole, frames: undefined });
  });

  test('a WAV file is no more than bytes where the caller says so', async () => {
    const bytes = riff(fmt(), chunk('data', sound));
    const raw = { format: 'u8', channels: 1, rate: 8000 } as const;
    expect((await contents(files.put('x.wav', bytes), { raw })).bytes).toEqual(Buffer.from(bytes));
  });

  test.each<[string, number, number, string]>([
    ['s17', 8000, 2, 'raw.format is "s17"; allowed: s8, u8, s16_le'],
    ['gsm', 8000, 2, 'raw.format is "gsm"'],
    ['u8', 0, 2, 'raw.rate is 0; allowed: 1 or more (Hz)'],
    ['u8', 8000, 1.5, 'raw.channels is 1.5; allowed: 1 to 65535'],
  ])('%s, %i Hz, %d channels are refused', async (format, rate, channels, message) => {
    const raw = { format: format as PcmFormatName, rate, channels };
    await expect(openAudio('x.raw', { raw })).rejects.toThrow(message);
  });
});

describe('a stream', () => {
  test('passes by once', async () => {
    const source = await openAudio(trickle(riff(fmt(), chunk('data', sound)), 5));
    expect(() => source.read(1)).toThrow('from is 1; allowed: 0: standard input cannot be entered elsewhere');
    await framesFrom(source, 0);
    expect(() => source.read()).toThrow('standard input has been read already');
    await source.close();
  });

  // A radio station, whose next bytes come when their time has come.
  test.each([
    ['untagged.mp3', 1200],
    ['layer2.mp2', 4000],
    ['sweep.ogg', 10_000],
    ['sweep.opus', 30_000],
    ['noise16.flac', 12_000],
  ])('%s is opened, and begun, with its first %i bytes', async (name, length) => {
    const bytes = readFileSync(new URL(`fixtures/${name}`, import.meta.url));
    const stream = new Readable({ read() {} });
    stream.push(bytes.subarray(0, length));
    const source = await openAudio(stream, { name: 'the radio' });
    expect(source.name).toBe('the radio');
    const { value } = await source.read()[Symbol.asyncIterator]().next();
    expect(value?.length).toBeGreaterThan(0);
    await source.close();
  });

  test('that waits for ever ends with close()', async () => {
    const stream = new Readable({ read() {} });
    stream.push(riff(fmt(), chunk('data', sound, 400)));
    const source = await openAudio(stream);
    const reading = framesFrom(source, 0);
    await source.close();
    await expect(reading).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
    expect(stream.destroyed).toBe(true);
  });

  test('that fails is a file that cannot be read', async () => {
    const stream = new Readable({ read() {} });
    stream.push(riff(fmt(), chunk('data', sound, 400)));
    const source = await openAudio(stream);
    const reading = framesFrom(source, 0);
    stream.destroy(Object.assign(new Error('read EIO'), { code: 'EIO', errno: -5 }));
    await expect(reading).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      message: 'cannot read standard input: i/o error (EIO)',
    });
    await source.close();
  });
});

describe('what gives the bytes', () => {
  const bytes = riff(fmt(), chunk('data', sound));
  const whole = { kind: 'WAV', frames: 2, warnings: [], bytes: Buffer.from(sound) };

  test('memory: entered anywhere, and again', async () => {
    expect(await contents(bytes)).toMatchObject({ ...whole, name: 'memory', isSeekable: true });
    expect(await contents(Buffer.from(bytes), { name: 'a cue' }, 1)).toMatchObject({
      name: 'a cue',
      bytes: Buffer.from(sound.subarray(4)),
    });
    const source = await openAudio(bytes);
    await source.close();
    await expect(framesFrom(source, 0)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
  });

  test('a web stream, as of fetch()', async () => {
    const { body } = new Response(Buffer.from(bytes));
    if (body === null) throw new Error('no body');
    expect(await contents(body, { name: 'the radio' })).toMatchObject({ ...whole, name: 'the radio' });
    await expect(openAudio(body)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG', option: 'input' });
  });

  test('a web stream that is closed early is cancelled', async () => {
    let isCancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(bytes),
      cancel: () => {
        isCancelled = true;
      },
    });
    const source = await openAudio(body);
    await source.close();
    await new Promise(setImmediate);
    expect(isCancelled).toBe(true);
  });

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a number', 7],
    ['a URL', new URL('file:///x.wav')],
    ['a Response', new Response(Buffer.from(bytes))],
    ['a Blob', new Blob([])],
    ['an array', [1, 2, 3]],
    ['an ArrayBuffer', new ArrayBuffer(8)],
    ['a stream with an encoding', Readable.from(['text']).setEncoding('utf8')],
  ])('%s is refused', async (_, input) => {
    const opening = openAudio(input as string);
    await expect(opening).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG', option: 'input' });
    await expect(opening).rejects.toThrow('allowed: a path, a Uint8Array, a Readable without an encoding');
  });

  test('a stream of something else is refused when it comes', async () => {
    const opening = openAudio(Readable.from(['text']));
    await expect(opening).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_ARG',
      message: 'what standard input gives is "text"; allowed: Uint8Array',
    });
  });
});

describe('pieces', () => {
  const LEAST_BYTES = 32 * 1024;

  test.each(['cbr.mp3', 'sweep.ogg', 'sweep.opus', 'noise24.flac'])(
    'of %s go on in at least 32 KiB',
    async (name) => {
      const source = await openAudio(new URL(`fixtures/${name}`, import.meta.url).pathname);
      const lengths: number[] = [];
      for await (const piece of source.read()) lengths.push(piece.length);
      expect(Math.min(...lengths.slice(0, -1))).toBeGreaterThanOrEqual(LEAST_BYTES);
      await source.close();
    },
  );

  test('of a stream do not wait for what comes later, and leaving the loop does not either', async () => {
    const bytes = readFileSync(new URL('fixtures/untagged.mp3', import.meta.url));
    const stream = new Readable({ read() {} });
    stream.push(bytes.subarray(0, 2000));
    const source = await openAudio(stream);
    let heard = 0;
    for await (const piece of source.read()) {
      heard += piece.length;
      if (heard < 4 * 576 * 15) continue;
      break;
    }
    expect(heard).toBeLessThan(LEAST_BYTES * 2);
    await source.close();
  });
});

test.each<[string, Uint8Array, string]>([
  ['empty', new Uint8Array(0), ' is empty; known: WAV'],
  [
    'text',
    ascii('Hello,\nworld'),
    ' is no recording of a known kind: it begins with "Hello,.world"; known: ',
  ],
])('%s is no recording', async (_, bytes, message) => {
  const path = files.put('x', bytes);
  const file = openAudio(path);
  await expect(file).rejects.toMatchObject({ code: 'ERR_VSND_FILE' });
  await expect(file).rejects.toThrow(path + message);
  const stream = trickle(bytes, 5);
  await expect(openAudio(stream)).rejects.toThrow(`standard input${message}`);
  expect(stream.destroyed).toBe(true);
});

test('neither is what is not there, or is no file', async () => {
  await expect(openAudio(files.path('none'))).rejects.toMatchObject({
    code: 'ERR_VSND_FILE',
    errno: 'ENOENT',
  });
  await expect(openAudio(files.path('.'))).rejects.toThrow('is a directory, not a recording');
  await expect(openAudio('/dev/null')).rejects.toThrow('/dev/null is empty');
});
