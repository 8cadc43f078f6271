import { once } from 'node:events';
import type { Clock } from '../clock.ts';
import type { CaptureDevice, CaptureFeed, CaptureVoice, DeviceParams } from './pcm-device.ts';
import type { SoundProgram } from './programs.ts';
import { ReadableVoice } from './readable-voice.ts';
import { Recorder } from './recorder.ts';
import { type Admit, Relaunch } from './relaunch.ts';

export interface ExecCaptureOptions extends SoundProgram {
  readonly clock: Clock;
  /** What it gives while the stream does not run is thrown away, as with a microphone; else its pipe holds it back. */
  readonly isLive: boolean;
  /** Whether the program may be run anew, and when. By default at once. */
  readonly admit?: Admit | undefined;
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
  readonly #relaunch: Relaunch;
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
    this.#relaunch = new Relaunch({
      admit: options.admit,
      launch: () => this.#launch(),
      failed: (error) => feed.failed(error),
    });
  }

  start(): void {
    if (this.#recorder.destroyed) this.#relaunch.want(this.#recorder.ended);
    else this.#voice.start();
  }

  pause(): void {
    this.#relaunch.unwant();
    this.#voice.pause();
  }

  resume(): void {
    this.start();
  }

  stop(): void {
    this.#relaunch.unwant();
    this.#voice.stop();
    this.#recorder.destroy();
  }

  async close(): Promise<void> {
    this.stop();
    await this.#relaunch.end();
    await this.#recorder.ended;
  }

  #launch(): void {
    this.#recorder = new Recorder({ command: this.#options.commandFor(this.#params) });
    this.#voice = this.#voiceOf(this.#recorder);
    this.#voice.start();
  }

  #voiceOf(recorder: Recorder): ReadableVoice {
    const { log, description } = this.#options;
    recorder.once('end', () => log(`${description} has nothing more to say: silence follows`));
    return new ReadableVoice(this.#params, this.#feed, recorder, this.#options);
  }
}
