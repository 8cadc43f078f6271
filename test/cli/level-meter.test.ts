import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { LevelMeter } from '../../src/cli/level-meter.ts';
import { WAV_FORMATS } from '../../src/wav/header.ts';
import { type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';

/** A full-scale (or half-scale) sample of each format. */
const SAMPLES: Partial<Record<PcmFormatName, [full: number[], half: number[]]>> = {
  u8: [[0], [0x40]],
  s16_le: [
    [0, 0x80],
    [0, 0x40],
  ],
  s24_le: [
    [0, 0, 0x80, 0xff],
    [0, 0, 0x40, 0x55],
  ],
  s32_le: [
    [0, 0, 0, 0x80],
    [0, 0, 0, 0xc0],
  ],
  float_le: [
    [0, 0, 0x80, 0xbf],
    [0, 0, 0, 0x3f],
  ],
  float64_le: [
    [0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
    [0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
  ],
  a_law: [[0xaa], [0xba]],
  mu_law: [[0x00], [0x90]],
};

async function meterOf(format: PcmFormatName, channels: number, chunks: Uint8Array[], rate = 1000) {
  const meter = new LevelMeter({ format, rate, channels });
  const passed: Buffer[] = [];
  meter.on('data', (chunk: Buffer) => passed.push(chunk));
  for (const chunk of chunks) meter.write(chunk);
  meter.end();
  await once(meter, 'end');
  expect(Buffer.concat(passed)).toEqual(Buffer.concat(chunks));
  return meter;
}

describe('levels', () => {
  test.each(WAV_FORMATS)('%s', async (format) => {
    const [full = [], half = []] = SAMPLES[format] ?? [];
    const meter = await meterOf(format, 2, [Uint8Array.from([...full, ...half])]);
    const [left = 1, right = 1] = meter.levelsUpTo(1);
    // The two companded formats have no sample at exactly full and half scale.
    expect(left).toBeCloseTo(0, 0);
    expect(right).toBeCloseTo(-6, 0);
    const silence = Uint8Array.from([...pcmFormat(format).silence]);
    const quiet = await meterOf(format, 1, [silence]);
    expect(quiet.levelsUpTo(1)[0]).toBeLessThan(-70);
  });

  test('belong to the frames that have been played', async () => {
    // 20 frames a block at 1000 Hz: loud, silent, half, silent.
    const samples = new Int16Array(80);
    samples[5] = -32_768;
    samples[45] = 16_384;
    const bytes = new Uint8Array(samples.buffer);
    const meter = await meterOf('s16_le', 1, [bytes.subarray(0, 80), bytes.subarray(80)]);
    expect(meter.levelsUpTo(19)).toEqual([-Infinity]);
    expect(meter.levelsUpTo(20)).toEqual([0]);
    expect(meter.levelsUpTo(39)).toEqual([0]);
    expect(meter.levelsUpTo(40)).toEqual([-Infinity]);
    expect(meter.levelsUpTo(80)[0]).toBeCloseTo(-6.02);
    expect(meter.levelsUpTo(80)[0]).toBeCloseTo(-6.02);
  });

  test('of all that has passed, where no position is given', async () => {
    const meter = await meterOf('s16_le', 1, [new Uint8Array(Int16Array.of(16_384).buffer)]);
    expect(meter.levelsUpTo()[0]).toBeCloseTo(-6.02);
  });

  test('of formats that no WAV file holds', async () => {
    const meter = await meterOf('s16_be', 1, [Uint8Array.of(0x40, 0x00, 0x00, 0x7f)]);
    expect(meter.levelsUpTo()[0]).toBeCloseTo(-6.02);
    const silent = await meterOf('iec958_subframe_le', 1, [new Uint8Array(4).fill(0xff)]);
    expect(silent.levelsUpTo()).toEqual([-Infinity]);
  });

  test('of what is no number', async () => {
    const samples = new Uint8Array(Float32Array.of(Number.NaN, -0.5, Number.NaN).buffer);
    expect((await meterOf('float_le', 1, [samples])).levelsUpTo()[0]).toBeCloseTo(-6.02);
  });

  test('of the first two channels of many', async () => {
    const meter = await meterOf('s16_le', 6, [new Uint8Array(12).fill(0x40)]);
    expect(meter.levelsUpTo(1).length).toBe(2);
  });
});
