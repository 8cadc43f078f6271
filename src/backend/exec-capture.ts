import { once } from 'node:events';
import type { Clock } from '../clock.ts';
import type { CaptureDevice, CaptureFeed, CaptureVoice, DeviceParams } from './pcm-device.ts';
import type { SoundProgram } from './programs.ts';
import { ReadableVoice } from './readable-voice.ts';
import { Recorder } from './recorder.ts';

export interface ExecCaptureOptions extends SoundProgram {
  readonly clock: Clock;
  /** What it gives while the stream does not run is thrown away, as with a microphone; else its pipe holds it back. */
  readonly isLive: boolean;
  /** Takes note of the end of its output, after which there is silence. */
  log(message: string): void;
}

/**
 * A program whose standard output is captured, laid out as sndif has it (24 bits take 4 octets). It is started at OPEN,
 * ended at STOP or CLOSE, and run anew at the next START.
 */
export function execCaptureDevice(options: ExecCaptureOptions): CaptureDevice {
  return {
    description: options.description,
    formats: options.formats,
    openCapture: async (params, feed) => await ExecCapture.open(params, feed, options),
  };
}

class ExecCapture implements CaptureVoice {
  readonly #params: DeviceParams;
  readonly #feed: CaptureFeed;
  readonly #options: ExecCaptureOptions;
  #recorder: Recorder;
  #voice: CaptureVoice;

  /** Starts the program. Rejects with ERR_VSND_DEVICE. */
  static async open(
    params: DeviceParams,
    feed: CaptureFeed,
    options: ExecCaptureOptions,
  ): Promise<ExecCapture> {
    const recorder = new Recorder({ command: options.commandFor(params) });
    await once(recorder, 'open');
    return new ExecCapture(params, feed, options, recorder);
  }

  private constructor(
    params: DeviceParams,
    feed: CaptureFeed,
    options: ExecCaptureOptions,
    recorder: Recorder,
  ) {
    this.#params = params;
    this.#feed = feed;
    this.#options = options;
    this.#recorder = recorder;
    this.#voice = this.#voiceOf(recorder);
  }

  start(): void {
    if (this.#recorder.destroyed) {
      const command = this.#options.commandFor(this.#params);
      this.#recorder = new Recorder({ command, after: this.#recorder.ended });
      this.#voice = this.#voiceOf(this.#recorder);
    }
    this.#voice.start();
  }

  pause(): void {
    this.#voice.pause();
  }

  resume(): void {
    this.#voice.resume();
  }

  stop(): void {
    this.#voice.stop();
    this.#recorder.destroy();
  }

  async close(): Promise<void> {
    this.stop();
    await this.#recorder.ended;
  }

  #voiceOf(recorder: Recorder): ReadableVoice {
    const { log, description } = this.#options;
    recorder.once('end', () => log(`${description} has nothing more to say: silence follows`));
    return new ReadableVoice(this.#params, this.#feed, recorder, this.#options);
  }
}
