import { canScale, Gain, MAX_VOLUME, MIN_VOLUME } from '../pcm/gain.ts';
import type { BufferRequest } from '../wire/sndif.ts';
import { decodeMutes, decodeVolumes, encodeVolumes, VOLUME_BYTES } from '../wire/volume.ts';
import type { Pages } from '../xen/hypervisor.ts';
import type { DeviceParams } from './pcm-device.ts';
import { Refusal } from './refusal.ts';

type VolumeOp = Exclude<BufferRequest['op'], 'read' | 'write'>;

/** A stream's volume from OPEN, where it is 0 dB, to CLOSE: what the frontend sets and asks for, and does it. */
export class StreamVolume {
  readonly #params: DeviceParams;
  readonly #pages: Pages;
  readonly #bufferBytes: number;
  readonly #gain: Gain | undefined;

  /** `pages`: the shared buffer, of which `bufferBytes` bytes are the stream's. */
  constructor(params: DeviceParams, pages: Pages, bufferBytes: number) {
    this.#params = params;
    this.#pages = pages;
    this.#bufferBytes = bufferBytes;
    this.#gain = canScale(params.format) ? new Gain(params) : undefined;
  }

  /** Frames, whole ones, as loud as they shall be. */
  apply(frames: Uint8Array): Uint8Array {
    return this.#gain?.apply(frames) ?? frames;
  }

  /**
   * Throws {@link Refusal}: EOPNOTSUPP for a format whose volume cannot be changed, EINVAL for a range outside of the
   * buffer or not of one value a channel, ERANGE for a volume above MAX_VOLUME: EINVAL is what backends without volume
   * answer.
   */
  carryOut(op: VolumeOp, offset: number, length: number): void {
    const gain = this.#gain;
    if (!gain) throw new Refusal('EOPNOTSUPP', `the volume of ${this.#params.format} cannot be changed`);
    this.#checkRange(op, offset, length);
    if (op === 'getVolume') {
      this.#pages.copyIn(offset, encodeVolumes(gain.volumes));
      return;
    }
    const bytes = new Uint8Array(length);
    this.#pages.copyOut(offset, bytes);
    if (op === 'setVolume') {
      gain.setVolumes(decodeVolumes(bytes).map(audible));
    } else {
      const isMeant = decodeMutes(bytes);
      gain.setMuted(gain.muted.map((muted, channel) => (isMeant[channel] ? op === 'mute' : muted)));
    }
  }

  #checkRange(op: VolumeOp, offset: number, length: number): void {
    const { channels } = this.#params;
    const expected = op === 'mute' || op === 'unmute' ? channels : channels * VOLUME_BYTES;
    if (length !== expected) {
      throw new Refusal('EINVAL', `${length} bytes for ${channels} channels; allowed: ${expected}`);
    }
    if (offset + length > this.#bufferBytes) {
      throw new Refusal(
        'EINVAL',
        `${length} bytes at ${offset} pass the buffer's end at ${this.#bufferBytes}`,
      );
    }
  }
}

/** A volume below MIN_VOLUME is taken for that: nobody can hear the difference. */
function audible(volume: number): number {
  if (volume > MAX_VOLUME)
    throw new Refusal('ERANGE', `a volume of ${volume} dB; allowed: up to ${MAX_VOLUME}`);
  return Math.max(volume, MIN_VOLUME);
}
