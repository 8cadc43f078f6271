import { once } from 'node:events';
import { RealClock, timeout } from '../clock.ts';
import { VsndError } from '../errors.ts';
import type { DeviceParams, PlaybackDevice, PlaybackFeed, PlaybackVoice } from './pcm-device.ts';
import { Player, type SetPipeSize } from './player.ts';
import type { SoundProgram } from './programs.ts';
import { type Admit, Relaunch } from './relaunch.ts';
import { WritableVoice } from './writable-voice.ts';

/** ms that a program has beyond the time of its sound: Linux's frontend gives up after 3 s. */
const CLOSE_GRACE = 2000;

/** Octets: a pipe has a page at least, and as many at most where nobody changes that. */
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
 * A program that plays what comes on its standard input, laid out as sndif has it (24 bits take 4 octets).
 * Positions are the octets that its pipe has taken: they run ahead of what is heard by the pipe and by what
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
  readonly #relaunch: Relaunch;
  #player: Player;
  #voice: WritableVoice;

  /** Starts the program. Rejects with ERR_VSND_DEVICE. */
  static async open(
    params: DeviceParams,
    feed: PlaybackFeed,
    options: ExecPlaybackOptions,
  ): Promise<ExecVoice> {
    const player = launch(params, options);
    await once(player, 'open');
    return new ExecVoice(params, feed, options, player);
  }

  private constructor(
    params: DeviceParams,
    feed: PlaybackFeed,
    options: ExecPlaybackOptions,
    player: Player,
  ) {
    this.#params = params;
    this.#feed = feed;
    this.#options = options;
    this.#player = player;
    this.#voice = this.#voiceOf(player);
    this.#relaunch = new Relaunch({
      admit: options.admit,
      launch: () => this.#launch(),
      failed: (error) => feed.failed(error),
    });
  }

  start(): void {
    if (this.#player.destroyed) this.#relaunch.want(this.#player.ended);
    else this.#voice.start();
  }

  pause(): void {
    this.#relaunch.unwant();
    this.#voice.pause();
  }

  resume(): void {
    this.start();
  }

  /**
   * What has been reported as played stays with the program: a frontend that has drained stops before it
   * closes.
   */
  stop(): void {
    const isQueued = this.#isQueued;
    this.#relaunch.unwant();
    this.#voice.stop();
    if (isQueued) this.#player.destroy();
  }

  refilled(): void {
    this.#voice.refilled();
  }

  async close({ drain }: { drain: boolean }): Promise<void> {
    await this.#relaunch.end({ drain });
    const player = this.#player;
    const limit = timeout(new RealClock(), this.#closingTime() * 1e6, () =>
      player.destroy(this.#lateError()),
    );
    try {
      if (!drain && this.#isQueued) player.destroy();
      await this.#voice.close({ drain });
      await player.ended;
    } finally {
      limit.cancel();
    }
    if (player.errored) throw player.errored;
  }

  #launch(): void {
    this.#player = launch(this.#params, this.#options);
    this.#voice = this.#voiceOf(this.#player);
    this.#voice.start();
  }

  #voiceOf(player: Player): WritableVoice {
    return new WritableVoice(this.#params, this.#feed, player, (octets) => octets.slice());
  }

  /** Whether there is anything that has not been reported as played. */
  get #isQueued(): boolean {
    return this.#feed.available > 0 || this.#player.writableLength > 0;
  }

  /** ms, at most, from now until the program has ended. */
  #closingTime(): number {
    const { rate, frameBytes } = this.#params;
    const octets = this.#feed.available + this.#player.writableLength + pipeSize(this.#params, this.#options);
    return (octets * 1000) / (rate * frameBytes) + this.#grace;
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

function launch(params: DeviceParams, options: ExecPlaybackOptions): Player {
  const { setPipeSize } = options;
  const command = options.commandFor(params);
  return new Player({ command, pipeBytes: pipeSize(params, options), setPipeSize });
}

/** Octets: about a period, as far as it can be set. */
function pipeSize({ periodBytes }: DeviceParams, { setPipeSize }: ExecPlaybackOptions): number {
  return setPipeSize ? Math.min(Math.max(periodBytes, MIN_PIPE), DEFAULT_PIPE) : DEFAULT_PIPE;
}
