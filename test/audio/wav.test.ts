import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, ftruncateSync, openSync, truncateSync, writeSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openAudio } from '../../src/audio/open-audio.ts';
import { isVsndError } from '../../src/errors.ts';
import { ascii, chunk, extensible, fmt, readAll, riff, u16, u32, useDirectory } from '../wav/files.ts';
import { framesFrom } from './contents.ts';

const files = useDirectory();

const sound = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** sox -n -r 8000 -c 1 -b 16 a.wav synth 0.001 sine 1000 */
const SOX_S16 =
  '524946463400000057415645666d7420100000000100010040' +
  '1f0000803e00000200100064617461100000004b07dc3e915ab03f000050c071a521c1';

/** sox -n -r 8000 -c 2 -b 24 b.wav synth 0.00025 sine 1000, in the extensible form with a fact chunk. */
const SOX_S24 =
  '524946465400000057415645666d742028000000feff0200401f000080bb00000600180016001800030000000100000000001000' +
  '800000aa00389b716661637404000000020000006461746' +
  '10c000000fc4a07fc4a07ffdc3effdc3e';

describe('headers', () => {
  test('a golden file of sox, 16 bits', async () => {
    const wav = await readAll(files.put('a.wav', Buffer.from(SOX_S16, 'hex')));
    expect(wav).toMatchObject({ format: 's16_le', rate: 8000, channels: 1, frames: 8, truncated: false });
    expect(wav.bytes.toString('hex')).toBe('4b07dc3e915ab03f000050c071a521c1');
  });

  test('a golden file of sox, 24 bits, widened with the sign', async () => {
    const wav = await readAll(files.put('b.wav', Buffer.from(SOX_S24, 'hex')));
    expect(wav).toMatchObject({ format: 's24_le', rate: 8000, channels: 2, frames: 2, truncated: false });
    expect(wav.bytes.toString('hex')).toBe('fc4a0700fc4a0700ffdc3e00ffdc3e00');
    const low = await readAll(
      files.put('c.wav', riff(fmt({ bits: 24, channels: 1 }), chunk('data', Uint8Array.of(1, 2, 0x80)))),
    );
    expect([...low.bytes]).toEqual([1, 2, 0x80, 0xff]);
  });

  test.each([
    ['u8', 1, 8],
    ['s16_le', 1, 16],
    ['s16_le', 1, 12],
    ['s24_le', 1, 24],
    ['s24_le', 1, 20],
    ['s32_le', 1, 32],
    ['float_le', 3, 32],
    ['float64_le', 3, 64],
    ['a_law', 6, 8],
    ['mu_law', 7, 8],
  ])('%s: tag %i with %i bits, plain and extensible', async (format, tag, bits) => {
    const container = Math.ceil(bits / 8) * 8;
    const data = chunk('data', new Uint8Array((container / 8) * 6));
    const plain = fmt({ tag, bits, channels: 3, rate: 22_050, block: (container / 8) * 3 });
    for (const header of [plain, extensible(tag, 3, 22_050, container, bits)]) {
      const wav = await readAll(files.put('x.wav', riff(header, data)));
      expect(wav).toMatchObject({ format, rate: 22_050, channels: 3, frames: 2 });
    }
  });

  test('unknown chunks of odd and even sizes stand anywhere', async () => {
    const odd = chunk('LIST', new Uint8Array(7));
    const even = chunk('bext', new Uint8Array(600));
    const path = files.put('x.wav', riff(odd, even, fmt(), odd, chunk('data', sound), odd, even));
    expect(await readAll(path)).toMatchObject({ frames: 2, truncated: false, bytes: Buffer.from(sound) });
  });

  test('a chunk that is no chunk', async () => {
    const path = files.put('x.wav', riff(fmt(), new Uint8Array(64)));
    await expect(openAudio(path)).rejects.toThrow('at byte 36 stands "....", which is no chunk');
  });

  test.each(['RF64', 'BW64'])('%s takes the size from ds64', async (magic) => {
    const ds64 = chunk('ds64', u32(100, 0, sound.length, 0, 2, 0, 0));
    const rest = [ds64, fmt(), chunk('data', sound, 0xffff_ffff), chunk('LIST', sound)];
    const bytes = Buffer.concat([ascii(magic), u32(0xffff_ffff), ascii('WAVE'), ...rest]);
    expect(await readAll(files.put('x.wav', bytes))).toMatchObject({ frames: 2, bytes: Buffer.from(sound) });
    const large = Buffer.from(bytes);
    large.writeUInt32LE(1, 32); // data of 4 GiB + 8
    expect(await readAll(files.put('y.wav', large))).toMatchObject({ frames: 6, truncated: true });
    large.fill(0, 28, 36);
    expect(await readAll(files.put('z.wav', large))).toMatchObject({ frames: 6, truncated: false });
  });

  test.each([
    ['both sizes unknown', 0xffff_ffff, 0xffff_ffff],
    ['both sizes 0', 0, 0],
    ['a RIFF that ends before its data', 36, 0],
    ['a data size of 0 in an endless RIFF', 0xffff_ffff, 0],
  ])('streamed: %s', async (_, riffSize, dataSize) => {
    const parts = [ascii('RIFF'), u32(riffSize), ascii('WAVE'), fmt(), chunk('data', sound, dataSize)];
    const path = files.put('x.wav', Buffer.concat([...parts, sound.subarray(0, 3)]));
    expect(await readAll(path)).toMatchObject({ frames: 2, truncated: false, bytes: Buffer.from(sound) });
  });

  test('no frames at all', async () => {
    const none = { frames: 0, truncated: false, bytes: Buffer.alloc(0) };
    expect(await readAll(files.put('x.wav', riff(fmt(), chunk('data', sound.subarray(0, 0)))))).toMatchObject(
      none,
    );
    const data = chunk('data', sound.subarray(0, 0));
    expect(await readAll(files.put('y.wav', riff(fmt(), data, chunk('LIST', sound))))).toMatchObject(none);
  });
});

describe('what is not a WAV file, or not one that vsnd reads', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['empty', ascii(''), /x\.wav is empty; known: WAV/],
    ['text', ascii('Hello,\nworld, this'), /is no recording of a known kind: it begins with "Hello,\.world"/],
    ['short text', ascii('Hi'), /it begins with "Hi"/],
    ['control codes', Uint8Array.of(0x1b, 0x5b, 0x9b, 0x41), /it begins with "\.\[\.A"/],
    [
      'another RIFF',
      Buffer.concat([ascii('RIFF'), u32(4), ascii('AVI ')]),
      /it begins with "RIFF\.\.\.\.AVI "/,
    ],
    ['a cut head', ascii('RIFF....WA'), /ends within its first 12 bytes/],
    ['no chunks', riff(), /ends without a fmt chunk/],
    ['no data', riff(fmt()), /ends without a data chunk/],
    ['data without fmt', riff(chunk('data', sound)), /ends without a fmt chunk/],
    ['a short fmt', riff(chunk('fmt ', u16(1, 2, 3))), /its fmt chunk has 6 bytes; allowed: 16 or more/],
    ['a short extensible fmt', riff(fmt({ tag: 0xfffe })), /extensible fmt chunk has 16 bytes; allowed: 40/],
    [
      'a short ds64',
      Buffer.concat([ascii('RF64'), u32(0), ascii('WAVE'), chunk('ds64', sound)]),
      /ds64 chunk has 8/,
    ],
    ['0 channels', riff(fmt({ channels: 0 })), /it has 0 channels; allowed: 1 or more/],
    ['0 Hz', riff(fmt({ rate: 0 })), /its rate is 0 Hz/],
    ['0 bits', riff(fmt({ bits: 0 })), /holds format 0x0001 with 0 bits a sample; allowed: PCM of 8, 16, 24/],
    ['40 bits', riff(fmt({ bits: 40 })), /format 0x0001 with 40 bits/],
    ['ADPCM', riff(fmt({ tag: 2, bits: 4 })), /holds format 0x0002 with 4 bits a sample; allowed: PCM/],
    ['12 bit float', riff(fmt({ tag: 3, bits: 30, block: 8 })), /format 0x0003 with 30 bits/],
    ['another sub-format', riff(extensible(0x55, 2, 8000, 16)), /format 0x0055/],
  ])('%s', async (_, bytes, message) => {
    const error = await openAudio(files.put('x.wav', bytes)).catch((reason: unknown) => reason);
    expect(isVsndError(error, 'ERR_VSND_FILE')).toBe(true);
    expect((error as Error).message).toMatch(message);
  });

  test('an extensible sub-format of another family', async () => {
    const bytes = Buffer.from(riff(extensible(1, 2, 8000, 16)));
    bytes.write('cafe', bytes.length - 2, 'hex');
    await expect(openAudio(files.put('x.wav', bytes))).rejects.toThrow(/sub-format 0100.*cafe; allowed/);
  });

  test('no such file, a directory, no file', async () => {
    await expect(openAudio(files.path('none.wav'))).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      errno: 'ENOENT',
      message: `cannot open ${files.path('none.wav')}: no such file or directory (ENOENT)`,
    });
    await expect(openAudio(files.path('.'))).rejects.toThrow(/is a directory, not a recording/);
    await expect(openAudio('/dev/null')).rejects.toThrow('/dev/null is empty');
  });

  test.skipIf(process.getuid?.() === 0)(
    'a file that may not be read (skipped for root, who may)',
    async () => {
      const path = files.put('x.wav', riff(fmt(), chunk('data', sound)));
      chmodSync(path, 0);
      await expect(openAudio(path)).rejects.toMatchObject({ code: 'ERR_VSND_FILE', errno: 'EACCES' });
    },
  );
});

describe('files that end early', () => {
  test('cut at every byte, a file gives whole frames or ERR_VSND_FILE', async () => {
    const ds64 = chunk('JUNK', new Uint8Array(28));
    const whole = riff(
      ds64,
      extensible(1, 2, 8000, 24),
      chunk('fact', u32(4)),
      chunk('data', new Uint8Array(24)),
    );
    const dataOffset = whole.length - 24;
    for (let length = 0; length < whole.length; length++) {
      const result = await readAll(files.put('x.wav', whole.subarray(0, length))).catch(
        (error: unknown) => error,
      );
      if (length < dataOffset || (length > dataOffset && length < dataOffset + 6)) {
        expect(isVsndError(result, 'ERR_VSND_FILE'), `cut at ${length}`).toBe(true);
      } else {
        const frames = Math.floor((length - dataOffset) / 6);
        expect(result, `cut at ${length}`).toMatchObject({ frames, truncated: true });
        expect((result as { bytes: Buffer }).bytes.length).toBe(frames * 8);
      }
    }
  });

  test('part of a frame at the end of a complete file is dropped', async () => {
    const wav = await readAll(files.put('x.wav', riff(fmt(), chunk('data', sound.subarray(0, 7)))));
    expect(wav).toMatchObject({ frames: 1, truncated: false, bytes: Buffer.from(sound.subarray(0, 4)) });
  });

  test('a file that shrinks while it is read', async () => {
    const path = files.put('x.wav', riff(fmt(), chunk('data', new Uint8Array(1 << 20))));
    const wav = await openAudio(path);
    truncateSync(path, 1000);
    await expect(framesFrom(wav, 0)).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      message: `${path} became shorter while it was read`,
    });
    await wav.close();
  });

  test('to read a closed file fails; to close it twice does not', async () => {
    const wav = await openAudio(files.put('x.wav', riff(fmt(), chunk('data', sound))));
    await wav.close();
    await wav.close();
    await expect(framesFrom(wav, 0)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
  });
});

describe('reading', () => {
  test('reads no further than it is read', async () => {
    const path = files.path('large.wav');
    const fd = openSync(path, 'w');
    writeSync(fd, riff(fmt(), chunk('data', sound, 1 << 30)));
    ftruncateSync(fd, 44 + (1 << 30));
    const wav = await openAudio(path);
    for await (const piece of wav.read()) {
      expect(piece.length).toBeLessThanOrEqual(64 * 1024);
      break;
    }
    await wav.close();
  });

  test('begins anew with each call', async () => {
    const wav = await openAudio(files.put('x.wav', riff(fmt(), chunk('data', sound))));
    expect(await framesFrom(wav, 0)).toEqual(Buffer.from(sound));
    expect(await framesFrom(wav, 0)).toEqual(Buffer.from(sound));
    await wav.close();
  });
});

const hasSox = spawnSync('sox', ['--version']).error === undefined;

describe.skipIf(!hasSox)('files of sox (skipped where it is not installed)', () => {
  test.each([
    ['u8', ['-b', '8', '-e', 'unsigned'], 'u8', 1],
    ['s16_le', ['-b', '16'], 's16', 1],
    ['s32_le', ['-b', '32', '-e', 'signed'], 's32', 6],
    ['float_le', ['-b', '32', '-e', 'float'], 'f32', 2],
    ['float64_le', ['-b', '64', '-e', 'float'], 'f64', 2],
    ['a_law', ['-e', 'a-law'], 'al', 2],
    ['mu_law', ['-e', 'mu-law'], 'ul', 2],
  ])('%s', async (format, encoding, raw, channels) => {
    const path = files.path('x.wav');
    const source = [
      '-D',
      '-r',
      '44100',
      '-n',
      '-c',
      `${channels}`,
      ...encoding,
      path,
      'synth',
      '1001s',
      'sine',
      '440',
    ];
    execFileSync('sox', source);
    const wav = await readAll(path);
    expect(wav).toMatchObject({ format, rate: 44_100, channels, frames: 1001, truncated: false });
    expect(wav.bytes).toEqual(execFileSync('sox', ['-D', path, '-t', raw, '-']));
  });

  test('into a pipe: the length is a lie, the sound is whole', async () => {
    const piped = execFileSync('sox', [
      '-V1',
      '-n',
      '-r',
      '8000',
      '-c',
      '1',
      '-b',
      '16',
      '-t',
      'wav',
      '-',
      'synth',
      '0.01',
      'sine',
      '99',
    ]);
    expect(await readAll(files.put('x.wav', piped))).toMatchObject({ frames: 80, truncated: false });
  });
});
