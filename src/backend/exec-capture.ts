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
 * A program whose standard output is captured, laid out as sndif has it (24 bits take 4 bytes). It is started at OPEN,
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
  readonly #runs: Relaunch<Recorder, ReadableVoice>;

  /** Starts the program. Rejects with ERR_VSND_DEVICE. */
  static async open(
    params: DeviceParams,
    feed: CaptureFeed,
    options: ExecCaptureOptions,
  ): Promise<ExecCapture> {
    const { admit, log, description } = options;
    const runs = await Relaunch.open({
      admit,
      launch: () => new Recorder({ command: options.commandFor(params) }),
      voiceOf: (recorder) => {
        recorder.once('end', () => log(`${description} has nothing more to say: silence follows`));
        return new ReadableVoice(params, feed, recorder, options);
      },
      failed: (error) => feed.failed(error),
    });
    return new ExecCapture(runs);
  }

  private constructor(runs: Relaunch<Recorder, ReadableVoice>) {
    this.#runs = runs;
  }

  start(): void {
    this.#runs.start();
  }

  pause(): void {
    this.#runs.pause();
  }

  resume(): void {
    this.#runs.start();
  }

  stop(): void {
    this.#runs.unwant();
    this.#runs.voice.stop();
    this.#runs.run.destroy();
  }

  async close(): Promise<void> {
    this.stop();
    await this.#runs.end();
    await this.#runs.run.ended;
  }
}
