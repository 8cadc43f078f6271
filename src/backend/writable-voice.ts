import { finished, type Writable } from 'node:stream';
import { deferred } from '../deferred.ts';
import { LARGEST_PIECE, leastPeriod } from './frame-clock.ts';
import type { DeviceParams, PlaybackFeed, PlaybackVoice } from './pcm-device.ts';

/** Bytes to hand over at once where the frontend wants no reports. */
const DEFAULT_PIECE = 4096;

/**
 * A device behind a Writable, whose write callbacks are the clock. A frame counts as played when the callback of its
 * piece has returned: early by what the device buffers itself, late by up to a piece (a period).
 */
export class WritableVoice implements PlaybackVoice {
  readonly #feed: PlaybackFeed;
  readonly #writable: Writable;
  readonly #convert: (bytes: Uint8Array) => Uint8Array;
  readonly #pieceBytes: number;
  #running = false;
  #writing = false;
  /** Counts the STOPs: a piece that was under way at one of them is not counted when its callback returns. */
  #run = 0;
  #closed = false;
  #drained: (() => void) | undefined;

  /** `convert`: makes of whole frames what the writable takes; the result must not be overwritten. */
  constructor(
    params: DeviceParams,
    feed: PlaybackFeed,
    writable: Writable,
    convert: (bytes: Uint8Array) => Uint8Array,
  ) {
    this.#feed = feed;
    this.#writable = writable;
    this.#convert = convert;
    const piece = params.periodBytes || DEFAULT_PIECE;
    const frames = Math.max(
      leastPeriod(params),
      Math.floor(Math.min(piece, LARGEST_PIECE) / params.frameBytes),
    );
    this.#pieceBytes = frames * params.frameBytes;
    writable.on('error', (error) => {
      this.#halt();
      if (!this.#closed) feed.failed(error);
    });
  }

  start(): void {
    this.#running = true;
    this.#writeNext();
  }

  pause(): void {
    this.#running = false;
  }

  resume(): void {
    this.start();
  }

  stop(): void {
    this.#run += 1;
    this.#halt();
  }

  refilled(): void {
    this.#writeNext();
  }

  async close({ drain }: { drain: boolean }): Promise<void> {
    if (drain && this.#running && (this.#writing || this.#feed.available > 0)) {
      const { promise, resolve } = deferred();
      this.#drained = resolve;
      await promise;
    }
    this.#halt();
    this.#closed = true;
    if (this.#writable.destroyed) return;
    const { promise, resolve } = deferred();
    finished(this.#writable, () => resolve());
    this.#writable.end();
    await promise;
  }

  #halt(): void {
    this.#running = false;
    this.#drained?.();
  }

  #writeNext(): void {
    if (!this.#running || this.#writing) return;
    const bytes = this.#feed.take(this.#pieceBytes);
    if (bytes.length === 0) {
      this.#feed.dry();
      this.#drained?.();
      return;
    }
    this.#writing = true;
    const run = this.#run;
    this.#writable.write(this.#convert(bytes), (error) => {
      this.#writing = false;
      if (error) return;
      if (run === this.#run) this.#feed.played(bytes.length);
      this.#writeNext();
    });
  }
}
