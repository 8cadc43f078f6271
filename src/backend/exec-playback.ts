import { RealClock, timeout } from '../clock.ts';
import { VsndError } from '../errors.ts';
import type { DeviceParams, PlaybackDevice, PlaybackFeed, PlaybackVoice } from './pcm-device.ts';
import type { SetPipeSize } from './piped-program.ts';
import { Player } from './player.ts';
import type { SoundProgram } from './programs.ts';
import { type Admit, Relaunch } from './relaunch.ts';
import { WritableVoice } from './writable-voice.ts';

/** ms that a program has beyond the time of its sound: Linux's frontend gives up after 3 s. */
const CLOSE_GRACE = 2000;

/** Bytes: a pipe has a page at least, and as many at most where nobody changes that. */
const MIN_PIPE = 4096;
const DEFAULT_PIPE = 65_536;

export interface ExecPlaybackOptions extends SoundProgram {
  /** Makes the pipe as small as a period. Without it, it holds 64 KiB. */
  readonly setPipeSize?: SetPipeSize | undefined;
  /** ms; by default 2000. How long CLOSE waits beyond the time of what is left to be played. */
  readonly closeGrace?: number | undefined;
  /** Whether the program may be run anew, and when. By default at once. */
  readonly admit?: Admit | undefined;
}

/**
 * A program that plays what comes on its standard input, laid out as sndif has it (24 bits take 4 bytes).
 * Positions are the bytes that its pipe has taken: they run ahead of what is heard by the pipe and by what
 * the program buffers itself. CLOSE waits for the program to play that out.
 */
export function execPlaybackDevice(options: ExecPlaybackOptions): PlaybackDevice {
  return {
    description: options.description,
    formats: options.formats,
    openPlayback: async (params, feed) => await ExecVoice.open(params, feed, options),
  };
}

class ExecVoice implements PlaybackVoice {
  readonly #params: DeviceParams;
  readonly #feed: PlaybackFeed;
  readonly #options: ExecPlaybackOptions;
  readonly #runs: Relaunch<Player, WritableVoice>;

  /** Starts the program. Rejects with ERR_VSND_DEVICE. */
  static async open(
    params: DeviceParams,
    feed: PlaybackFeed,
    options: ExecPlaybackOptions,
  ): Promise<ExecVoice> {
    const { admit, setPipeSize } = options;
    const pipeBytes = pipeSize(params, options);
    const runs = await Relaunch.open({
      admit,
      launch: () => new Player({ command: options.commandFor(params), pipeBytes, setPipeSize }),
      voiceOf: (player) => new WritableVoice(params, feed, player, (bytes) => new Uint8Array(bytes)),
      failed: (error) => feed.failed(error),
    });
    return new ExecVoice(params, feed, options, runs);
  }

  private constructor(
    params: DeviceParams,
    feed: PlaybackFeed,
    options: ExecPlaybackOptions,
    runs: Relaunch<Player, WritableVoice>,
  ) {
    this.#params = params;
    this.#feed = feed;
    this.#options = options;
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

  /**
   * What has been reported as played stays with the program: a frontend that has drained stops before it
   * closes.
   */
  stop(): void {
    const isQueued = this.#isQueued;
    this.#runs.unwant();
    this.#runs.voice.stop();
    if (isQueued) this.#runs.run.destroy();
  }

  refilled(): void {
    this.#runs.voice.refilled();
  }

  async close({ drain }: { drain: boolean }): Promise<void> {
    await this.#runs.end({ drain });
    const player = this.#runs.run;
    const limit = timeout(new RealClock(), this.#closingTime() * 1e6, () =>
      player.destroy(this.#lateError()),
    );
    try {
      if (!drain && this.#isQueued) player.destroy();
      await this.#runs.voice.close({ drain });
      await player.ended;
    } finally {
      limit.cancel();
    }
    if (player.errored) throw player.errored;
  }

  /** Whether there is anything that has not been reported as played. */
  get #isQueued(): boolean {
    return this.#feed.available > 0 || this.#runs.run.writableLength > 0;
  }

  /** ms, at most, from now until the program has ended. */
  #closingTime(): number {
    const { rate, frameBytes } = this.#params;
    const bytes =
      this.#feed.available + this.#runs.run.writableLength + pipeSize(this.#params, this.#options);
    return (bytes * 1000) / (rate * frameBytes) + this.#grace;
  }

  get #grace(): number {
    return this.#options.closeGrace ?? CLOSE_GRACE;
  }

  #lateError(): VsndError {
    const { name } = this.#options.commandFor(this.#params);
    const message = `${name} had not ended ${this.#grace} ms after the time of its last frame`;
    return new VsndError('ERR_VSND_DEVICE', message);
  }
}

/** Bytes: about a period, as far as it can be set. */
function pipeSize({ periodBytes }: DeviceParams, { setPipeSize }: ExecPlaybackOptions): number {
  return setPipeSize ? Math.min(Math.max(periodBytes, MIN_PIPE), DEFAULT_PIPE) : DEFAULT_PIPE;
}
