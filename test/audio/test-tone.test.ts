import { describe, expect, test } from 'vitest';
import { channelNames } from '../../src/audio/channel-names.ts';
import { silentFrames, type TestTone, testTone } from '../../src/audio/test-tone.ts';

const format = { format: 'float64_le', rate: 8000, channels: 2 } as const;
const steady = { signal: () => 1, amplitude: 0.5 };

/** The samples of one channel. */
function samplesOf(tone: Partial<TestTone>, channel = 0): number[] {
  const bytes = Buffer.concat([...testTone(format, { ...steady, frames: 1000, ...tone })]);
  const samples = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return [...samples].filter((_, index) => index % 2 === channel);
}

describe('a test tone', () => {
  test.each([1, 2, 79, 80, 81, 160, 1000])('of %d frames comes and goes without a click', (frames) => {
    const samples = samplesOf({ frames });
    expect(samples).toHaveLength(frames);
    expect(samples).toEqual(samples.toReversed()); // it goes as it has come
    for (const [n, sample] of [...samples, 0].entries()) {
      // In 10 ms, here 80 frames, by at most pi/2 of an even step.
      expect(Math.abs(sample - (samples[n - 1] ?? 0))).toBeLessThanOrEqual(((0.5 / 80) * Math.PI) / 2);
    }
    if (frames === 1000) expect(samples.slice(80, 920).every((sample) => sample === 0.5)).toBe(true);
  });

  test('is in one channel, or in all', () => {
    expect(samplesOf({}, 1)).toEqual(samplesOf({}, 0));
    expect(samplesOf({ channel: 1 }, 1)).toEqual(samplesOf({}, 1));
    expect(samplesOf({ channel: 1 }, 0).every((sample) => sample === 0)).toBe(true);
  });

  test('without an end fades when there is enough', () => {
    let pieces = 0;
    const samples = samplesOf({ frames: Number.POSITIVE_INFINITY, isEnough: () => ++pieces > 3 });
    expect(samples).toHaveLength(4 * 80);
    expect(samples.slice(-80)).toEqual(samples.slice(0, 80).toReversed());
  });

  test('of a compressed format there is none', () => {
    expect(() => [...testTone({ ...format, format: 'gsm' }, { ...steady, frames: 1 })]).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_NOT_SUPPORTED' }),
    );
  });
});

test('silence is what the format has for it', () => {
  expect([...silentFrames({ ...format, format: 'u8' }, 2)]).toEqual([0x80, 0x80, 0x80, 0x80]);
});

test('channels have the names that speaker-test says', () => {
  expect(channelNames(1)).toEqual(['Mono']);
  expect(channelNames(2)).toEqual(['Front Left', 'Front Right']);
  expect(channelNames(6).join()).toBe('Front Left,Front Right,Front Center,LFE,Rear Left,Rear Right');
  expect(channelNames(9).at(-1)).toBe('Channel 8');
});
