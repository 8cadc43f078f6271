import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMutes, decodeVolumes, encodeMutes, encodeVolumes } from '../../src/wire/volume.ts';

describe('volumes', () => {
  it('are sint32_t, one a channel, "a signed value in steps of 0.001 dB, while 0 being 0 dB"', () => {
    const encoded = encodeVolumes([0, 1, -1, -0.001, 24]);
    expect(Buffer.from(encoded).toString('hex')).toBe('00000000e803000018fcffffffffffffc05d0000');
    expect(decodeVolumes(encoded)).toEqual([0, 1, -1, -0.001, 24]);
  });

  it.each([
    [-0.0004, 0],
    [0.0005, 0.001],
    [-6.0206, -6.021],
    [Number.NEGATIVE_INFINITY, -2_147_483.648],
    [Number.POSITIVE_INFINITY, 2_147_483.647],
    [-3e6, -2_147_483.648],
    [3e6, 2_147_483.647],
  ])('of %d dB become the nearest that there is, and never wrap: %d', (volume, nearest) => {
    expect(decodeVolumes(encodeVolumes([volume]))[0]).toBeCloseTo(nearest, 6);
  });

  it('come back as they were, in steps', () => {
    const steps = fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { maxLength: 255 });
    fc.assert(
      fc.property(steps, (values) => {
        const volumes = values.map((value) => value / 1000);
        const encoded = encodeVolumes(volumes);
        expect(encoded).toHaveLength(4 * volumes.length);
        expect(decodeVolumes(encoded)).toEqual(volumes);
      }),
    );
  });

  it('are found wherever the bytes lie, as many as are whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(7), (bytes, shift) => {
        const shifted = new Uint8Array(bytes.length + shift);
        shifted.set(bytes, shift);
        const decoded = decodeVolumes(shifted.subarray(shift));
        expect(decoded).toHaveLength(Math.floor(bytes.length / 4));
        expect(encodeVolumes(decoded)).toEqual(bytes.slice(0, 4 * decoded.length));
      }),
    );
  });
});

describe('mutes', () => {
  it('are "uint8_t, non-zero if i-th channel needs to be muted/unmuted"', () => {
    expect(encodeMutes([true, false, true])).toEqual(Uint8Array.of(1, 0, 1));
    expect(decodeMutes(Uint8Array.of(0, 1, 0x80, 0xff))).toEqual([false, true, true, true]);
  });

  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 255 }), (channels) => {
        expect(decodeMutes(encodeMutes(channels))).toEqual(channels);
      }),
    );
  });
});
