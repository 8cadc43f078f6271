import type { Clock } from '../clock.ts';
import { VsndError } from '../errors.ts';
import { type SampleCodec, sampleCodec } from '../pcm/samples.ts';
import { type Signal, sineSignal } from '../pcm/signal.ts';
import { PCM_FORMATS } from '../wire/pcm-format.ts';
import { ClockedCapture, type FrameSource } from './clocked-capture.ts';
import type { CaptureDevice, DeviceParams } from './pcm-device.ts';

/** Of full scale: -20 dBFS, the level at which one aligns. */
const AMPLITUDE = 0.1;

/**
 * A device that captures a sine of `frequency` Hz (to 0.001), at -20 dBFS in all channels, from START on: frame n is
 * sin(2 pi n frequency / rate), however large n becomes.
 */
export function sineDevice(frequency: number, clock: Clock): CaptureDevice {
  return {
    description: `a sine of ${frequency} Hz at -20 dBFS`,
    formats: PCM_FORMATS.map(({ name }) => name).filter((name) => sampleCodec(name) !== undefined),
    openCapture: async (params, feed) => {
      const codec = sampleCodec(params.format);
      if (codec === undefined || frequency * 2 >= params.rate) {
        const what = `a sine of ${frequency} Hz in ${params.format} at ${params.rate} Hz`;
        throw new VsndError('ERR_VSND_NOT_SUPPORTED', `there is no such thing as ${what}`);
      }
      return new ClockedCapture(params, feed, clock, new Sine(params, codec, frequency));
    },
  };
}

class Sine implements FrameSource {
  readonly #codec: SampleCodec;
  readonly #frameBytes: number;
  readonly #begin: () => Signal;
  #signal: Signal;

  constructor({ rate, frameBytes }: DeviceParams, codec: SampleCodec, frequency: number) {
    this.#codec = codec;
    this.#frameBytes = frameBytes;
    this.#begin = () => sineSignal(frequency, rate);
    this.#signal = this.#begin();
  }

  fill(frames: Uint8Array): void {
    const { write, sampleBytes } = this.#codec;
    const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
    for (let frame = 0; frame < frames.length; frame += this.#frameBytes) {
      const value = AMPLITUDE * this.#signal();
      const end = frame + this.#frameBytes;
      for (let offset = frame; offset < end; offset += sampleBytes) write(view, offset, value);
    }
  }

  rewind(): void {
    this.#signal = this.#begin();
  }
}
