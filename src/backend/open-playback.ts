import type { SndifTriggerName } from '../wire/sndif.ts';
import { checkRange, type OpenStream, type OpenStreamOptions, statusOf } from './open-stream.ts';
import { awaitClosing, awaitOpening, durationOf } from './patience.ts';
import type { PcmDevice, PlaybackFeed, PlaybackVoice } from './pcm-device.ts';
import { createQueue, type PlaybackQueue, type QueueMode } from './playback-queue.ts';
import { PositionReports } from './position-reports.ts';
import { Refusal } from './refusal.ts';
import { type RunningState, stateAfter } from './running-state.ts';
import type { OpenStreamStatus, StreamTotals } from './status.ts';
import type { StreamVolume } from './stream-volume.ts';

export type OpenPlaybackOptions = OpenStreamOptions & { readonly queueMode: QueueMode };

/** A playback stream: what the frontend has written, the device that plays it, and how far it is. */
export class OpenPlayback implements OpenStream, PlaybackFeed {
  readonly #options: OpenPlaybackOptions;
  readonly #queue: PlaybackQueue;
  readonly #positions: PositionReports;
  #voice: PlaybackVoice | undefined;
  #state: RunningState = 'stopped';
  /** Since STOP, until START: what a WRITE that STOP has overtaken left in the queue is older than what follows. */
  #restarting = false;
  /** All that was there has been played: that is an underrun where more comes. */
  #isDry = false;
  #underruns = 0;
  #failure: Error | undefined;

  /** Opens the host device. Rejects as {@link PcmDevice.openPlayback}, with {@link Refusal} where there is none. */
  static async open(device: PcmDevice, options: OpenPlaybackOptions): Promise<OpenPlayback> {
    if (!device.openPlayback) throw new Refusal('EOPNOTSUPP', `${device.description}: does not play`);
    const stream = new OpenPlayback(options);
    stream.#voice = await awaitOpening(device.openPlayback(options.params, stream), options.clock);
    return stream;
  }

  private constructor(options: OpenPlaybackOptions) {
    this.#options = options;
    this.#queue = createQueue(options.queueMode, options.pages, options.bufferBytes);
    this.#positions = new PositionReports(options.params.periodBytes, options.sendPosition);
  }

  get volume(): StreamVolume {
    return this.#options.volume;
  }

  get status(): OpenStreamStatus {
    const { position } = this.#positions;
    const now = { state: this.#state, position, waiting: this.available, xruns: this.#underruns };
    return statusOf(this.#options, now);
  }

  get totals(): Pick<StreamTotals, 'frames' | 'xruns'> {
    const frames = Math.floor(this.#positions.total / this.#options.params.frameBytes);
    return { frames, xruns: this.#underruns };
  }

  /** WRITE */
  transfer(offset: number, length: number): undefined {
    if (this.#failure) throw this.#failure;
    checkRange(offset, length, this.#options);
    const { bufferBytes } = this.#options;
    if (this.#restarting) this.#queue.take(Math.max(0, length - (bufferBytes - this.available)));
    if (!this.#queue.write(offset, length)) {
      throw new Refusal(
        'ENOSPC',
        `${length} bytes, while ${this.available} of ${bufferBytes} wait to be played`,
      );
    }
    if (this.#isDry) this.#underruns += 1;
    this.#isDry = false;
    this.#voice?.refilled();
  }

  trigger(trigger: SndifTriggerName): void {
    if (this.#failure && trigger !== 'stop') throw this.#failure;
    this.#state = stateAfter(this.#state, trigger);
    if (trigger === 'start') this.#restarting = false;
    this.#voice?.[trigger]();
    if (trigger !== 'stop') return;
    this.#queue.clear();
    this.#isDry = false;
    this.#restarting = true;
    this.#positions.rewind();
  }

  async close({ drain }: { drain: boolean }): Promise<void> {
    const { bufferBytes, params, clock, pages } = this.#options;
    try {
      const closing = this.#voice?.close({ drain: drain && this.#state === 'running' });
      if (closing) await awaitClosing(closing, durationOf(bufferBytes, params), clock);
    } finally {
      this.#queue.clear(); // a device that was given up finds nothing, and nobody who listens
      this.#positions.end();
      await pages.release();
    }
    if (this.#failure) throw this.#failure;
  }

  get available(): number {
    return this.#queue.available;
  }

  take(most: number): Uint8Array {
    const { params, volume } = this.#options;
    return volume.apply(this.#queue.take(most - (most % params.frameBytes)));
  }

  played(bytes: number): void {
    this.#positions.advance(bytes);
  }

  /** The frontend learns at once that there is nothing left, wherever in a period that happens. */
  dry(): void {
    this.#isDry = this.#state === 'running';
    this.#positions.flush();
  }

  failed(error: Error): void {
    this.#failure = error;
    this.#options.warn(error.message);
  }
}
