import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canScale, Gain, MAX_VOLUME, MIN_VOLUME } from '../../src/pcm/gain.ts';
import { sampleCodec } from '../../src/pcm/samples.ts';
import { PCM_FORMATS, type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';
import { bytes, thrownBy } from '../wire/support.ts';

const FORMATS = PCM_FORMATS.map(({ name }) => name).filter(canScale);
/** Frames of a ramp at 48 kHz. */
const RAMP = 480;

const amplitude = (volume: number): number => 10 ** (volume / 20);

function gain(format: PcmFormatName, channels = 1, rate = 48_000): Gain {
  return new Gain({ format, channels, rate });
}

/** A gain through which sound has already gone: what is set now is a ramp. */
function begun(format: PcmFormatName, channels = 1): Gain {
  const started = gain(format, channels);
  started.apply(encode(format, new Array<number>(channels).fill(0)));
  return started;
}

/** Values of full scale as bytes of a format. */
function encode(format: PcmFormatName, values: readonly number[]): Uint8Array {
  const { sampleBytes, write } = sampleCodec(format) ?? expect.unreachable();
  const memory = new Uint8Array(values.length * sampleBytes);
  const view = new DataView(memory.buffer);
  values.forEach((value, index) => {
    write(view, index * sampleBytes, value);
  });
  return memory;
}

/** Bytes of a format as values of full scale. */
function decode(format: PcmFormatName, { buffer, byteOffset, length }: Uint8Array): number[] {
  const { sampleBytes, read } = sampleCodec(format) ?? expect.unreachable();
  const view = new DataView(buffer, byteOffset, length);
  return Array.from({ length: length / sampleBytes }, (_, index) => read(view, index * sampleBytes));
}

/** What comes of `frames` mono frames that all have one value. */
function applyTo(scaler: Gain, format: PcmFormatName, frames: number, value = 0.5): number[] {
  return decode(format, scaler.apply(encode(format, new Array<number>(frames).fill(value))));
}

const s16 = (...samples: number[]): Uint8Array => new Uint8Array(Int16Array.from(samples).buffer);

describe('a gain', () => {
  it('begins at 0 dB, unmuted, and passes on the very array that it is given', () => {
    for (const format of FORMATS) {
      const frames = new Uint8Array(16).fill(0x7f);
      const untouched = gain(format, 2);
      expect([untouched.volumes, untouched.muted]).toEqual([
        [0, 0],
        [false, false],
      ]);
      expect(untouched.apply(frames)).toBe(frames);
    }
  });

  it('is there for the formats that have samples, and refuses the others', () => {
    for (const { name } of PCM_FORMATS) {
      expect(canScale(name)).toBe(sampleCodec(name) !== undefined);
      if (canScale(name)) continue;
      expect(thrownBy(() => gain(name))).toMatchObject({
        code: 'ERR_VSND_NOT_SUPPORTED',
        message: expect.stringContaining(name),
      });
    }
  });

  it('takes 10 ms for a change, at any rate at least a frame', () => {
    expect([48_000, 44_100, 8_000, 11_025, 50].map((rate) => gain('u8', 1, rate).rampFrames)).toEqual([
      480, 441, 80, 111, 1,
    ]);
  });

  it('remembers volumes and mutes, and shares neither array with its caller', () => {
    const scaler = gain('s16_le', 2);
    const volumes = [-6.021, 3];
    const muted = [false, true];
    scaler.setVolumes(volumes);
    scaler.setMuted(muted);
    volumes[0] = muted.length = 0;
    expect([scaler.volumes, scaler.muted]).toEqual([
      [-6.021, 3],
      [false, true],
    ]);
    scaler.setMuted([false, false]);
    expect(scaler.volumes).toEqual([-6.021, 3]);
  });

  it.each<[values: unknown, value: string, allowed: string]>([
    [[0], '"0"', 'an array of 2, one a channel'],
    [[0, -6, 0], '"0, -6, 0"', 'an array of 2, one a channel'],
    [-6, '-6', 'an array of 2, one a channel'],
    ['-6', '"-6"', 'an array of 2, one a channel'],
    [null, 'null', 'an array of 2, one a channel'],
    [[0, 24.001], '24.001', '-144 to 24 (dB)'],
    [[-144.001, 0], '-144.001', '-144 to 24 (dB)'],
    [[0, Number.NaN], 'NaN', '-144 to 24 (dB)'],
    [[-Infinity, 0], '-Infinity', '-144 to 24 (dB)'],
    [['-6', 0], '"-6"', '-144 to 24 (dB)'],
    [new Array(2), 'undefined', '-144 to 24 (dB)'],
  ])('refuses the volumes %j, and keeps those that it has', (values, value, allowed) => {
    const scaler = gain('s16_le', 2);
    scaler.setVolumes([-1, 1]);
    expect(thrownBy(() => scaler.setVolumes(values as number[]))).toMatchObject({
      code: 'ERR_VSND_INVALID_ARG',
      option: 'volume',
      message: `volume is ${value}; allowed: ${allowed}`,
    });
    expect(scaler.volumes).toEqual([-1, 1]);
  });

  it.each<[values: unknown, message: string]>([
    [[true], 'muted is "true"; allowed: an array of 2, one a channel'],
    [true, 'muted is true; allowed: an array of 2, one a channel'],
    [[true, 1], 'muted is 1; allowed: true, false'],
  ])('refuses the mutes %j', (values, message) => {
    const scaler = gain('s16_le', 2);
    expect(thrownBy(() => scaler.setMuted(values as boolean[]))).toMatchObject({
      code: 'ERR_VSND_INVALID_ARG',
      option: 'muted',
      message,
    });
    expect(scaler.muted).toEqual([false, false]);
  });

  it('refuses a part of a frame', () => {
    const scaler = gain('s16_le', 2);
    expect(thrownBy(() => scaler.apply(new Uint8Array(6)))).toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
      message: '6 bytes of frames of 4',
    });
  });
});

describe('at a constant volume', () => {
  it('each sample is multiplied and rounded, from the first one on where it was set before it', () => {
    const scaler = gain('s16_le');
    scaler.apply(new Uint8Array()); // no frame: nothing to ramp from yet
    scaler.setVolumes([-20]);
    expect(scaler.apply(s16(10_000, -10_000, 14, 15, 16, -14, -16, 0, 32_767, -32_768))).toEqual(
      s16(1_000, -1_000, 1, Math.round(1.5), 2, -1, -2, 0, 3_277, -3_277),
    );
  });

  it.each(FORMATS)('%s is saturated, and never wraps', (format) => {
    const scaler = gain(format);
    scaler.setVolumes([MAX_VOLUME]);
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1, noNaN: true }), (value) => {
        const [before = 0] = decode(format, encode(format, [value]));
        const [after] = applyTo(scaler, format, 1, value);
        expect([after]).toEqual(decode(format, encode(format, [before * amplitude(MAX_VOLUME) + 0])));
        expect(Math.sign(after ?? 0) * Math.sign(before)).not.toBe(-1);
        expect(Math.abs(after ?? 0)).toBeGreaterThanOrEqual(Math.min(Math.abs(before), 0.98));
      }),
    );
  });

  it('each channel has its own, and one at 0 dB stays as it is, to the bit', () => {
    const scaler = gain('float_be', 3);
    scaler.setVolumes([MIN_VOLUME, 0, -20 * Math.log10(2)]);
    scaler.setMuted([true, false, false]);
    const nan = [0x7f, 0xc1, 0x23, 0x45];
    const half = [0x3f, 0, 0, 0];
    expect([...scaler.apply(Uint8Array.from([half, nan, half, nan, half, nan].flat()))]).toEqual(
      [[0, 0, 0, 0], nan, [0x3e, 0x80, 0, 0], [0, 0, 0, 0], half, [0, 0, 0, 0]].flat(),
    );
  });

  it('neither the argument nor its surroundings are written to, wherever they lie in memory', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FORMATS),
        fc.integer({ min: 0, max: 9 }),
        bytes(64),
        fc.constantFrom(-3, 0, 6),
        (format, byteOffset, content, volume) => {
          const scaler = begun(format, 2);
          scaler.setVolumes([volume, -volume]);
          const memory = Buffer.alloc(80, 0xa5);
          const frames = memory.subarray(byteOffset, byteOffset + 64);
          frames.set(content);
          const before = Buffer.from(memory);
          const aligned = begun(format, 2);
          aligned.setVolumes([volume, -volume]);
          expect([...scaler.apply(frames)]).toEqual([...aligned.apply(content)]);
          expect(memory).toEqual(before);
        },
      ),
    );
  });
});

describe('a change of volume', () => {
  it('goes in a straight line, a frame at a time, and is over after rampFrames', () => {
    const scaler = begun('float64_le');
    scaler.setVolumes([-20]);
    const values = applyTo(scaler, 'float64_le', RAMP + 2);
    for (const [index, value] of values.entries()) {
      const part = Math.min(1, (index + 1) / RAMP);
      expect(value).toBeCloseTo(0.5 * (1 - 0.9 * part), 12);
    }
    expect(values.slice(RAMP - 1)).toEqual([0.05, 0.05, 0.05]);
  });

  it('back to 0 dB ends with the very array again', () => {
    const scaler = begun('s16_le', 2);
    scaler.setVolumes([-6, 0]);
    scaler.apply(new Uint8Array(4 * RAMP));
    scaler.setVolumes([0, 0]);
    scaler.apply(new Uint8Array(4 * (RAMP - 1)));
    const [last, next] = [s16(1, 2), s16(3, 4)];
    expect(scaler.apply(last)).not.toBe(last);
    expect(scaler.apply(next)).toBe(next);
  });

  it('starts from where the last one is, and takes its whole time from there', () => {
    const scaler = begun('float64_le');
    scaler.setMuted([true]);
    expect(applyTo(scaler, 'float64_le', RAMP / 4, 1).at(-1)).toBeCloseTo(0.75, 12);
    scaler.setMuted([false]);
    const values = applyTo(scaler, 'float64_le', RAMP, 1);
    expect(values[0]).toBeCloseTo(0.75 + 0.25 / RAMP, 12);
    expect(values.slice(-2)[0]).toBeLessThan(1);
    expect(values.at(-1)).toBe(1);
  });

  it('that is taken back before the next frame leaves the loudness where it was', () => {
    const scaler = begun('float64_le');
    scaler.setVolumes([-40]);
    scaler.setMuted([true]);
    scaler.setVolumes([0]);
    scaler.setMuted([false]);
    for (const value of applyTo(scaler, 'float64_le', RAMP, 1)) expect(value).toBeCloseTo(1, 15);
    const frames = new Uint8Array(8);
    expect(scaler.apply(frames)).toBe(frames);
  });

  it('to where a ramp is already going, or of another channel, does not hold that ramp up', () => {
    const scaler = begun('float64_le', 2);
    const values = () => decode('float64_le', scaler.apply(encode('float64_le', new Array(RAMP).fill(1))));
    scaler.setMuted([true, false]);
    values();
    scaler.setMuted([true, false]);
    scaler.setVolumes([0, -20]);
    const [left, right] = values().slice(-2);
    expect(left).toBe(0);
    expect(right).toBeCloseTo(0.55, 12);
  });

  it.each(FORMATS)('never clicks: no frame of %s differs from the last by more than a step', (format) => {
    const scaler = begun(format);
    const values = [...applyTo(scaler, format, 1)];
    for (const change of [
      () => scaler.setMuted([true]),
      () => scaler.setMuted([false]),
      () => scaler.setVolumes([-20]),
      () => scaler.setVolumes([6]),
      () => scaler.setVolumes([0]),
    ]) {
      change();
      values.push(...applyTo(scaler, format, RAMP / 3));
    }
    values.push(...applyTo(scaler, format, RAMP + 1));
    const coarse = /8$/.test(format) ? 2 / 0x80 : /law/.test(format) ? 1 / 0x20 : 1 / 0x8000; // a code or two
    const steps = values.slice(1).map((value, index) => Math.abs(value - (values[index] ?? 0)));
    expect(Math.max(...steps)).toBeLessThan((0.5 * 2) / RAMP + coarse);
    expect(values.at(-1)).toBe(values[0]);
  });

  it('does not depend on how the stream is cut into chunks', () => {
    const volume = fc.oneof(
      fc.constantFrom(MIN_VOLUME, -6, 0, MAX_VOLUME),
      fc.double({ min: -60, max: 24, noNaN: true }),
    );
    const step = fc.record({
      frames: fc.integer({ min: 0, max: 12 }),
      volumes: fc.option(fc.tuple(volume, volume)),
      muted: fc.option(fc.tuple(fc.boolean(), fc.boolean())),
      cuts: fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...FORMATS),
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(bytes(16)),
        (format, steps, sound) => {
          const whole = gain(format, 2, 1_000); // ramps of 10 frames
          const cut = gain(format, 2, 1_000);
          const frameBytes = 2 * (pcmFormat(format).sampleBytes ?? 0);
          for (const { frames, volumes, muted, cuts } of steps) {
            for (const scaler of [whole, cut]) {
              if (volumes) scaler.setVolumes(volumes);
              if (muted) scaler.setMuted(muted);
            }
            const chunk = Buffer.concat(
              [...sound.take(frames)].map((frame) => frame.subarray(0, frameBytes)),
            );
            const ends = [...cuts.map((end) => Math.min(end, frames)).sort((a, b) => a - b), frames];
            const pieces = ends.map((end, index) =>
              cut.apply(chunk.subarray((ends[index - 1] ?? 0) * frameBytes, end * frameBytes)),
            );
            expect(Buffer.concat(pieces)).toEqual(Buffer.from(whole.apply(chunk)));
          }
        },
      ),
    );
  });
});

describe('mute', () => {
  it.each(FORMATS)(
    'of %s is its silence from the end of the ramp on, in the muted channel only',
    (format) => {
      const { sampleBytes = 0, silence } = pcmFormat(format);
      const scaler = begun(format, 2);
      scaler.setMuted([false, true]);
      const frames = encode(format, [0.5, -0.5, -0.25, 0.25, -0.5, -0.25]);
      for (let frame = 0; frame < RAMP - 1; frame += 3) {
        const [, right] = decode(format, scaler.apply(frames));
        if (frame < RAMP / 2) expect(right).toBeLessThan(-0.2);
      }
      const silent = scaler.apply(frames);
      for (let at = 0; at < frames.length; at += 2 * sampleBytes) {
        expect([...silent.subarray(at, at + sampleBytes)]).toEqual([
          ...frames.subarray(at, at + sampleBytes),
        ]);
        expect([...silent.subarray(at + sampleBytes, at + 2 * sampleBytes)]).toEqual(silence);
      }
    },
  );

  it.each(['float_le', 'float64_be'] as const)(
    'of %s silences what is no number or no finite one',
    (format) => {
      const scaler = gain(format);
      scaler.setMuted([true]);
      const { sampleBytes = 0 } = pcmFormat(format);
      const odd = new Uint8Array(encode(format, [Infinity, -Infinity, -1e30]));
      expect(scaler.apply(odd)).toEqual(new Uint8Array(odd.length));
      expect(scaler.apply(new Uint8Array(sampleBytes).fill(0xff))).toEqual(new Uint8Array(sampleBytes));
    },
  );

  it('comes back to the volume, also to one that was set meanwhile', () => {
    const scaler = begun('float64_le');
    scaler.setVolumes([-20]);
    scaler.setMuted([true]);
    applyTo(scaler, 'float64_le', RAMP);
    scaler.setVolumes([-40]);
    expect(applyTo(scaler, 'float64_le', 2)).toEqual([0, 0]);
    scaler.setMuted([false]);
    expect(applyTo(scaler, 'float64_le', RAMP).at(-1)).toBe(0.005);
  });
});
