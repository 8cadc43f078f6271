import type { SndifTriggerName } from '../wire/sndif.ts';
import type { Pages } from '../xen/hypervisor.ts';
import type { DeviceParams, PcmDevice, PlaybackFeed, PlaybackVoice } from './pcm-device.ts';
import { createQueue, type PlaybackQueue, type QueueMode } from './playback-queue.ts';
import { Refusal } from './refusal.ts';

/** What an open stream works with. */
export interface OpenStreamOptions {
  readonly params: DeviceParams;
  /** The mapped shared buffer; released with the stream. */
  readonly pages: Pages;
  /** Octets of it that belong to the buffer. */
  readonly bufferBytes: number;
  readonly queueMode: QueueMode;
  /** Sends XENSND_EVT_CUR_POS: octets since OPEN, or since the last STOP. */
  sendPosition(octets: number): void;
  /** Takes note of a device that failed. */
  warn(message: string): void;
}

/** A playback stream from OPEN to CLOSE: what the frontend has written, the device that plays it, and how far it is. */
export class OpenStream implements PlaybackFeed {
  readonly #options: OpenStreamOptions;
  readonly #queue: PlaybackQueue;
  #voice: PlaybackVoice | undefined;
  #state: 'stopped' | 'running' | 'paused' = 'stopped';
  /** Octets played since OPEN or STOP. */
  #position = 0;
  #reported = 0;
  /** Since STOP, until START: what a WRITE that STOP has overtaken left in the queue is older than what follows. */
  #restarting = false;
  #failure: Error | undefined;

  /** Opens the host device. Rejects as {@link PcmDevice.openPlayback}; the pages are then released. */
  static async open(device: PcmDevice, options: OpenStreamOptions): Promise<OpenStream> {
    const stream = new OpenStream(options);
    try {
      stream.#voice = await device.openPlayback(options.params, stream);
      return stream;
    } catch (error) {
      await options.pages.release();
      throw error;
    }
  }

  private constructor(options: OpenStreamOptions) {
    this.#options = options;
    this.#queue = createQueue(options.queueMode, options.pages, options.bufferBytes);
  }

  /** Takes in a range of the shared buffer. Throws {@link Refusal}, or the device's failure. */
  write(offset: number, length: number): void {
    if (this.#failure) throw this.#failure;
    const { bufferBytes, params } = this.#options;
    if (offset + length > bufferBytes) {
      throw new Refusal('EINVAL', `${length} octets at ${offset} pass the buffer's end at ${bufferBytes}`);
    }
    if (length === 0 || length % params.frameBytes !== 0) {
      throw new Refusal('EINVAL', `${length} octets are not whole frames of ${params.frameBytes}`);
    }
    if (this.#restarting) this.#queue.take(Math.max(0, length - (bufferBytes - this.available)));
    if (!this.#queue.write(offset, length)) {
      throw new Refusal(
        'ENOSPC',
        `${length} octets, while ${this.available} of ${bufferBytes} wait to be played`,
      );
    }
    this.#voice?.refilled();
  }

  /** Throws {@link Refusal} for a trigger that the stream's state does not allow, or the device's failure. */
  trigger(trigger: SndifTriggerName): void {
    switch (trigger) {
      case 'start':
        this.#expect('stopped', trigger);
        this.#state = 'running';
        this.#restarting = false;
        this.#voice?.start();
        break;
      case 'pause':
        this.#expect('running', trigger);
        this.#state = 'paused';
        this.#voice?.pause();
        break;
      case 'resume':
        this.#expect('paused', trigger);
        this.#state = 'running';
        this.#voice?.resume();
        break;
      case 'stop':
        this.#state = 'stopped';
        this.#voice?.stop();
        this.#queue.clear();
        this.#restarting = true;
        this.#rewind();
    }
  }

  /** Closes the host device, with `drain` after what is running has been played out; then rejects where that had failed. Idempotent. */
  async close({ drain }: { drain: boolean }): Promise<void> {
    try {
      await this.#voice?.close({ drain: drain && this.#state === 'running' });
    } finally {
      await this.#options.pages.release();
    }
    if (this.#failure) throw this.#failure;
  }

  get available(): number {
    return this.#queue.available;
  }

  take(most: number): Uint8Array {
    return this.#queue.take(most);
  }

  played(octets: number): void {
    this.#position += octets;
    const { periodBytes } = this.#options.params;
    if (Math.floor(this.#position / periodBytes) > Math.floor(this.#reported / periodBytes)) this.#report();
  }

  /** The frontend learns at once that there is nothing left, wherever in a period that happens. */
  dry(): void {
    if (this.#position !== this.#reported) this.#report();
  }

  failed(error: Error): void {
    this.#failure = error;
    this.#options.warn(error.message);
  }

  /** snd_xen_front keeps its position over STOP and START, and would trust the old one until it hears of another. */
  #rewind(): void {
    const hasMoved = this.#reported > 0;
    this.#position = 0;
    if (hasMoved) this.#report();
    this.#reported = 0;
  }

  #report(): void {
    if (this.#options.params.periodBytes === 0) return;
    this.#reported = this.#position;
    this.#options.sendPosition(this.#position);
  }

  #expect(state: 'stopped' | 'running' | 'paused', trigger: SndifTriggerName): void {
    if (this.#failure) throw this.#failure;
    if (this.#state === state) return;
    throw new Refusal('EBADFD', `TRIGGER ${trigger.toUpperCase()} of a stream that is ${this.#state}`);
  }
}
