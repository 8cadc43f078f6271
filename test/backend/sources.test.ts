import { chmodSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { CaptureDevice, CaptureFeed, DeviceParams } from '../../src/backend/pcm-device.ts';
import { sineDevice } from '../../src/backend/sine.ts';
import { firstSource, openSource } from '../../src/backend/sources.ts';
import { wavLoopDevice } from '../../src/backend/wav-loop.ts';
import { type Clock, ManualClock } from '../../src/clock.ts';
import { sampleCodec } from '../../src/pcm/samples.ts';
import type { WavFormat } from '../../src/wav/header.ts';
import { WavWriter } from '../../src/wav/writer.ts';
import { PCM_FORMATS, type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';
import { noise } from '../sound.ts';
import { fmt, riff, useDirectory } from '../wav/files.ts';

const directory = useDirectory();

/** Keeps what it is given. */
class TestFeed implements CaptureFeed {
  readonly pieces: Uint8Array[] = [];
  readonly failures: Error[] = [];

  captured(bytes: Uint8Array): void {
    this.pieces.push(bytes.slice());
  }

  failed(error: Error): void {
    this.failures.push(error);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

function paramsFor(format: PcmFormatName, rate = 48_000, channels = 2): DeviceParams {
  const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
  return { rate, channels, format, frameBytes, periodBytes: 256 * frameBytes };
}

/** Opens a device on a clock of its own, and starts it. */
async function start(make: (clock: Clock) => CaptureDevice, params: DeviceParams, late = 0) {
  const clock = new ManualClock({ rate: params.rate });
  const lateClock: Clock = {
    now: () => clock.now(),
    after: (delay, callback) => clock.after(delay + late, callback),
  };
  const feed = new TestFeed();
  const voice = await make(lateClock).openCapture(params, feed);
  voice.start();
  return { clock, feed, voice };
}

describe('a sine', () => {
  /** The samples of one channel, as parts of full scale. */
  function samplesOf(bytes: Buffer, { format, frameBytes }: DeviceParams, channel: number): number[] {
    const codec = sampleCodec(format);
    if (codec === undefined) throw new Error(`${format} has no samples`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const first = channel * codec.sampleBytes;
    return Array.from({ length: bytes.length / frameBytes }, (_, frame) =>
      codec.read(view, first + frame * frameBytes),
    );
  }

  /** The nearest step of 8 bits; A-law and mu-law have coarser ones, but none above -20 dBFS. */
  const STEP = 1 / 128;

  test.each(sineDevice(1000, new ManualClock()).formats.map((format) => [format] as const))(
    'in %s is one in every channel, at -20 dBFS',
    async (format) => {
      const params = paramsFor(format, 44_100, 3);
      const { clock, feed } = await start((it) => sineDevice(997, it), params);
      await clock.advance(1024);
      for (const channel of [0, 1, 2]) {
        const samples = samplesOf(feed.bytes, params, channel);
        expect(samples).toHaveLength(1024);
        const errors = samples.map((sample, n) =>
          Math.abs(sample - 0.1 * Math.sin((2 * Math.PI * 997 * n) / 44_100)),
        );
        expect(Math.max(...errors)).toBeLessThan(STEP);
      }
    },
  );

  test('has every format that has samples, and no other', () => {
    const formats = PCM_FORMATS.map(({ name }) => name).filter((name) => sampleCodec(name));
    expect(sineDevice(1000, new ManualClock()).formats).toEqual(formats);
    expect(formats).toHaveLength(20);
  });

  test.each([
    [440, 48_000],
    [0.125, 8000],
    [11_999.999, 44_100],
    [1000, 11_025],
  ])(
    'of %d Hz at %i Hz keeps its phase over any number of frames, to the last bit',
    async (frequency, rate) => {
      const params = paramsFor('float64_le', rate, 1);
      const { clock, feed } = await start((it) => sineDevice(frequency, it), params);
      await clock.advance(3 * rate);
      const samples = samplesOf(feed.bytes, params, 0);
      for (const n of [0, 1, rate - 1, rate, 2 * rate + 77, samples.length - 1]) {
        const turns = ((n * Math.round(frequency * 1000)) % (rate * 1000)) / (rate * 1000);
        expect(samples[n]).toBeCloseTo(0.1 * Math.sin(2 * Math.PI * turns), 14);
      }
    },
  );

  test('goes on after PAUSE, and begins again after STOP', async () => {
    const params = paramsFor('s16_le', 48_000, 1);
    const { clock, feed, voice } = await start((it) => sineDevice(1000, it), params);
    await clock.advance(100);
    voice.pause();
    await clock.advance(5000);
    voice.resume();
    await clock.advance(412);
    const unbroken = feed.bytes;
    expect(unbroken).toHaveLength(1024);
    voice.stop();
    voice.start();
    await clock.advance(512);
    expect(Buffer.compare(feed.bytes.subarray(1024), unbroken)).toBe(0);
  });

  test.each([
    [24_000, 's16_le'],
    [30_000, 's16_le'],
    [1000, 'iec958_subframe_le'],
  ] as const)('of %i Hz in %s at 48000 Hz is none', async (frequency, format) => {
    const opening = sineDevice(frequency, new ManualClock()).openCapture(paramsFor(format), new TestFeed());
    await expect(opening).rejects.toMatchObject({ code: 'ERR_VSND_NOT_SUPPORTED' });
  });
});

describe('a WAV file', () => {
  function put(format: WavFormat, bytes: Uint8Array): string {
    const writer = new WavWriter(directory.path('source.wav'), format);
    writer.write(bytes);
    writer.close();
    return directory.path('source.wav');
  }

  test.each<[PcmFormatName, number]>([
    ['u8', 1],
    ['s16_le', 2],
    ['s24_le', 2],
    ['float64_le', 8],
    ['mu_law', 3],
  ])('in %s of %i channels comes over and over, bit for bit', async (format, channels) => {
    const params = paramsFor(format, 44_100, channels);
    const bytes = noise(1000 * params.frameBytes);
    if (format === 's24_le')
      for (let at = 0; at < bytes.length; at += 4) bytes[at + 3] = (bytes[at + 2] ?? 0) & 0x80 ? 0xff : 0;
    const file = put({ format, rate: 44_100, channels }, bytes);
    const { clock, feed, voice } = await start((it) => wavLoopDevice(file, it), params);
    await clock.advance(2560);
    const expected = Buffer.concat([bytes, bytes, bytes]).subarray(0, 2560 * params.frameBytes);
    expect(Buffer.compare(feed.bytes, expected)).toBe(0);
    voice.stop();
    voice.start();
    await clock.advance(256);
    const again = feed.bytes.subarray(2560 * params.frameBytes);
    expect(Buffer.compare(again, bytes.subarray(0, 256 * params.frameBytes))).toBe(0);
    await voice.close();
  });

  test('of one frame is that frame, for ever', async () => {
    const params = paramsFor('s16_le', 8000, 1);
    const file = put({ format: 's16_le', rate: 8000, channels: 1 }, Uint8Array.of(1, 2));
    const { clock, feed, voice } = await start((it) => wavLoopDevice(file, it), params);
    await clock.advance(256);
    expect(feed.bytes).toEqual(Buffer.alloc(512, Uint8Array.of(1, 2)));
    await voice.close();
  });

  test('has its own format, rate and channels', () => {
    const file = put({ format: 'float_le', rate: 12_345, channels: 5 }, noise(20));
    const bounds = { formats: ['float_le'], rates: [12_345], channels: { min: 5, max: 5 } };
    expect(wavLoopDevice(file, new ManualClock())).toMatchObject(bounds);
  });

  test('that has become another one is refused', async () => {
    const file = put({ format: 's16_le', rate: 8000, channels: 1 }, noise(20));
    const device = wavLoopDevice(file, new ManualClock());
    put({ format: 's16_le', rate: 8000, channels: 2 }, noise(20));
    const opening = device.openCapture(paramsFor('s16_le', 8000, 1), new TestFeed());
    await expect(opening).rejects.toMatchObject({ code: 'ERR_VSND_FILE' });
    expect(openFiles()).not.toContain(file);
  });

  test('that is cut short while it is captured is a device that failed', async () => {
    const file = put({ format: 's16_le', rate: 8000, channels: 1 }, noise(2000));
    const { clock, feed, voice } = await start((it) => wavLoopDevice(file, it), paramsFor('s16_le', 8000, 1));
    await clock.advance(256);
    writeFileSync(file, 'gone');
    await clock.advance(5000);
    expect(feed.bytes).toHaveLength(512);
    expect(feed.failures).toMatchObject([{ code: 'ERR_VSND_FILE', message: `${file} has become shorter` }]);
    expect(clock.pendingTimers).toBe(0);
    await voice.close();
    expect(openFiles()).not.toContain(file);
  });

  test.each([
    ['is not there', () => directory.path('none.wav'), /^cannot open .*ENOENT/],
    ['is a directory', () => directory.path('.'), /is not a regular file$/],
    ['is none', () => directory.put('x.wav', Buffer.from('some text, no sound')), /RIFF/],
    ['is empty', () => directory.put('x.wav', riff(fmt(), Buffer.from('data\0\0\0\0'))), /holds no frames$/],
    ['is a device', () => '/dev/zero', /is not a regular file$/],
  ])('that %s is refused, and not kept open', (_name, file, message) => {
    const path = file();
    expect(() => wavLoopDevice(path, new ManualClock())).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_FILE', message: expect.stringMatching(message) }),
    );
    expect(openFiles()).not.toContain(path);
  });

  /** Of this process. */
  function openFiles(): string[] {
    return readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return []; // the one of readdirSync itself
      }
    });
  }
});

describe('a clock that captures', () => {
  const params = paramsFor('s16_le', 48_000, 1);
  const FRAME = 1e9 / 48_000;

  test('and comes late gives what is due then, and does not lose time', async () => {
    const { clock, feed } = await start((it) => sineDevice(1000, it), params, 30 * FRAME);
    await clock.advance(256 + 29);
    expect(feed.bytes).toHaveLength(0);
    await clock.advance(1);
    expect(feed.bytes).toHaveLength(2 * (256 + 30));
    await clock.advance(256 * 100);
    expect(feed.bytes).toHaveLength(2 * (256 * 101 + 30));
  });

  test('and stood still for minutes gives a second at most, and goes on from there', async () => {
    const { clock, feed } = await start((it) => sineDevice(1000, it), params, 300e9);
    await clock.advanceTime(301e9);
    expect(feed.bytes).toHaveLength(2 * 48_000);
  });

  test('wakes every 10 ms where the frontend wants no events', async () => {
    const { clock, feed } = await start((it) => sineDevice(1000, it), { ...params, periodBytes: 0 });
    await clock.advance(4800);
    expect(feed.pieces.map((piece) => piece.length)).toEqual(new Array(10).fill(960));
  });

  test('is closed without a timer left', async () => {
    const { clock, voice } = await start((it) => sineDevice(1000, it), params);
    await clock.advance(100);
    await voice.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a program of this machine that captures', () => {
  const clock = new ManualClock();
  const putProgram = (name: string, command: string) => {
    const script = `#!/bin/sh\nPATH=/usr/bin:/bin\n${command}\n`;
    chmodSync(directory.put(`bin/${name}`, Buffer.from(script)), 0o755);
  };

  beforeEach(() => {
    mkdirSync(directory.path('bin'));
    vi.stubEnv('PATH', directory.path('bin'));
  });
  afterEach(() => vi.unstubAllEnvs());

  test('says why it does not', async () => {
    putProgram('arecord', 'echo No such device >&2; exit 1');
    await expect(openSource('alsa', clock)).rejects.toMatchObject({
      code: 'ERR_VSND_DEVICE',
      message: 'arecord ended with status 1: No such device',
    });
  });

  test('is one as soon as something comes of it, and is ended then', async () => {
    putProgram('parec', 'echo $$ > "$0.pid"; exec cat /dev/zero');
    const source = await openSource('pulse<mic>', clock);
    expect(source.kind).toBe('pulse');
    expect(source.deviceFor().description).toBe('parec --device=mic');
    const pid = Number(readFileSync(directory.path('bin/parec.pid'), 'utf8'));
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  test('the first of them is the source where none is named, else a sine', async () => {
    expect((await firstSource(clock)).kind).toBe('sine');
    putProgram('arecord', 'exec cat /dev/zero');
    expect((await firstSource(clock)).kind).toBe('alsa');
  });
});

describe('a source’s name', () => {
  test('is that of a device which needs nothing but a clock', async () => {
    const description = async (name: string) => (await openSource(name, clock)).deviceFor().description;
    const clock = new ManualClock();
    const file = directory.path('x.wav');
    const writer = new WavWriter(file, { format: 'u8', rate: 8000, channels: 1 });
    writer.write(noise(8));
    writer.close();
    expect(await description('silence')).toBe('silence');
    expect(await description('sine')).toBe('a sine of 1000 Hz at -20 dBFS');
    expect(await description('sine:0.5')).toBe('a sine of 0.5 Hz at -20 dBFS');
    expect(await description(`wav:${file}`)).toBe(`WAV file ${file}, in a loop`);
  });

  test.each(['', 'speaker', 'sine:x', 'alsa:', 'pulse<', 'exec:', 'wav:'])(
    'that is none, %j, gets a list of those that are',
    async (name) => {
      await expect(openSource(name, new ManualClock())).rejects.toThrow(
        /^source is .*; allowed: silence, sine, sine:HZ, wav:FILE \(not -\), exec:COMMAND, alsa/,
      );
    },
  );
});
