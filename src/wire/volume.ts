/** What SET_VOLUME, GET_VOLUME, MUTE and UNMUTE exchange through the shared buffer. */

/** Bytes of one channel's volume: sint32_t. */
export const VOLUME_BYTES = 4;

/** Steps in one dB: "a signed value in steps of 0.001 dB" (sndif.h). */
const STEPS = 1000;

const I32_MIN = -(2 ** 31);
const I32_MAX = 2 ** 31 - 1;

/** dB, one a channel, to the nearest step; beyond what 32 bits can say, the last one that they can. */
export function encodeVolumes(volumes: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(VOLUME_BYTES * volumes.length);
  const view = new DataView(bytes.buffer);
  for (const [channel, volume] of volumes.entries()) {
    const steps = Math.min(Math.max(Math.round(volume * STEPS), I32_MIN), I32_MAX);
    view.setInt32(VOLUME_BYTES * channel, steps, true);
  }
  return bytes;
}

/** The inverse of {@link encodeVolumes}; bytes behind the last whole value count for nothing. */
export function decodeVolumes(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const channels = Math.floor(bytes.length / VOLUME_BYTES);
  return Array.from(
    { length: channels },
    (_, channel) => view.getInt32(VOLUME_BYTES * channel, true) / STEPS,
  );
}

/**
 * One byte a channel: "channel[i] - uint8_t, non-zero if i-th channel needs to be muted/unmuted". The picture above
 * that sentence, which has 4 bytes a channel, is SET_VOLUME's.
 */
export function encodeMutes(channels: readonly boolean[]): Uint8Array {
  return Uint8Array.from(channels, Number);
}

/** The inverse of {@link encodeMutes}. */
export function decodeMutes(bytes: Uint8Array): boolean[] {
  return Array.from(bytes, (byte) => byte !== 0);
}
