import { SeekMode } from '../pulse/packet.ts';
import type { PlaybackAttributes } from '../pulse/requests.ts';
import { PieceStore } from './piece-store.ts';

export interface QueueOptions {
  readonly frameBytes: number;
  /** A byte of silence. */
  readonly silence: number;
}

/**
 * What a client has sent to be played, and not been played: a stream's indexes, in bytes since it began. Where it has a
 * prebuffer, nothing is played before so much is there, and the read index stands while it is dry; without one it runs on
 * through silence, and what comes for the past is dropped.
 */
export class PlaybackQueue {
  readonly #frameBytes: number;
  readonly #pieces: PieceStore;
  #attributes: PlaybackAttributes;
  #writeIndex = 0;
  #readIndex = 0;
  /** Bytes that the client has been asked for, and that have not come; negative where it has sent more: it will send less. */
  #requested = 0;
  #isPrebuffering: boolean;

  constructor(attributes: PlaybackAttributes, options: QueueOptions) {
    this.#attributes = attributes;
    this.#frameBytes = options.frameBytes;
    this.#pieces = new PieceStore(options.silence);
    this.#isPrebuffering = attributes.prebuffer > 0;
  }

  get attributes(): PlaybackAttributes {
    return this.#attributes;
  }

  set attributes(attributes: PlaybackAttributes) {
    this.#attributes = attributes;
    if (attributes.prebuffer === 0) this.#isPrebuffering = false;
  }

  get writeIndex(): number {
    return this.#writeIndex;
  }

  get readIndex(): number {
    return this.#readIndex;
  }

  /** Bytes between the indexes; negative where the client is late. */
  get length(): number {
    return this.#writeIndex - this.#readIndex;
  }

  /** Bytes that it keeps. */
  get storedBytes(): number {
    return this.#pieces.byteCount;
  }

  /** Whether it goes on through silence while it is dry. */
  get runsOn(): boolean {
    return this.#attributes.prebuffer === 0;
  }

  /** Whether it waits for its prebuffer. */
  get isPrebuffering(): boolean {
    return this.#isPrebuffering;
  }

  /** Frames that can be played now. */
  get readableFrames(): number {
    if (this.#isPrebuffering) return 0;
    return Math.max(0, Math.floor(this.length / this.#frameBytes));
  }

  /** Moves the write index. */
  seek(mode: number, offset: number): void {
    const origin = this.#originOf(mode);
    if (Number.isSafeInteger(origin + offset)) this.#writeIndex = origin + offset;
    this.#noteLength();
  }

  /** Takes data at the write index. False where that is more than there may be: it is dropped, as if it had not come. */
  write(bytes: Uint8Array): boolean {
    this.#requested -= bytes.length;
    const index = this.#writeIndex;
    const isFull = index + bytes.length - this.#readIndex > this.#attributes.maxLength;
    if (!isFull) this.#writeIndex += bytes.length;
    const late = Math.min(bytes.length, Math.max(0, this.#readIndex - index));
    if (!isFull) this.#pieces.put(index + late, bytes.subarray(late));
    this.#noteLength();
    return !isFull;
  }

  /** The next frames, of which there are so many. */
  read(frames: number): Uint8Array {
    const from = this.#readIndex;
    this.#advance(frames);
    const bytes = this.#pieces.get(from, this.#readIndex);
    this.#pieces.dropBefore(this.#readIndex);
    return bytes;
  }

  /** It is dry: the read index goes through so many frames of silence, where it does. */
  passSilence(frames: number): void {
    if (this.runsOn) this.#advance(frames);
  }

  /** What has not been played never will be. */
  flush(): void {
    this.#pieces.clear();
    this.#writeIndex = this.#readIndex;
    this.beginPrebuffering();
  }

  /** Nothing is played unless the prebuffer is full, and before it is. */
  beginPrebuffering(): void {
    this.#isPrebuffering = this.length < this.#attributes.prebuffer;
  }

  /** What is there is played. */
  endPrebuffering(): void {
    this.#isPrebuffering = false;
  }

  /** Bytes to ask the client for now; 0 where that is not worth a request yet. They count as asked for. */
  takeRequest(): number {
    const { targetLength, leastRequest } = this.#attributes;
    const missing = targetLength - this.length - this.#requested;
    if (missing < leastRequest) return 0;
    const bytes = Math.min(missing - (missing % this.#frameBytes), this.#attributes.maxLength);
    this.#requested += bytes;
    return bytes;
  }

  #originOf(mode: number): number {
    if (mode === SeekMode.absolute) return 0;
    if (mode === SeekMode.relativeOnRead) return this.#readIndex;
    if (mode === SeekMode.relativeToEnd) return Math.max(this.#pieces.end, this.#readIndex);
    return this.#writeIndex;
  }

  #advance(frames: number): void {
    this.#readIndex += frames * this.#frameBytes;
  }

  #noteLength(): void {
    if (this.#isPrebuffering && this.length >= this.#attributes.prebuffer) this.#isPrebuffering = false;
  }
}
