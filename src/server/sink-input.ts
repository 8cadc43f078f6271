import { type Deferred, deferred } from '../deferred.ts';
import { PulseError } from '../pulse/command.ts';
import type { StreamFormat } from '../pulse/format-info.ts';
import {
  encodeDataRequest,
  encodeKilled,
  encodeOverflow,
  encodeStarted,
  encodeUnderflow,
} from '../pulse/messages.ts';
import type { LatencyWish, PlaybackAttributes, PlaybackRequest } from '../pulse/requests.ts';
import { PULSE_FORMATS } from '../pulse/sample-spec.ts';
import type { PropertyList } from '../pulse/tagged.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import { cardShare, negotiatePlayback } from './buffer-attributes.ts';
import type { StreamOwner } from './client-stream.ts';
import { BACKLOG } from './limits.ts';
import { PlaybackQueue } from './playback-queue.ts';
import { isSameFormat, SampleConverter } from './sample-converter.ts';
import { StreamGain } from './stream-gain.ts';

/** The sink that a playback stream plays into. */
export interface InputTarget {
  readonly format: StreamFormat;
  /** s: what waits at the card for a stream that would have `share` s there, and what it takes at a time. */
  timingFor(share: number): { readonly card: number; readonly tick: number };
  /** Frames that have been written to the card, and of these those that have been played. */
  readonly written: number;
  /** Whether the card is open. */
  readonly isOpen: boolean;
  /** The stream has more to play, or is to play now. */
  handleReady(input: SinkInput, isNews: boolean): void;
  /** Its wish for a latency, or whether it is corked, is another one. */
  handleWish(): void;
}

export interface InputOptions extends StreamFormat {
  readonly index: number;
  readonly channel: number;
  readonly owner: StreamOwner;
  /** Of the protocol, that its client speaks. */
  readonly version: number;
  readonly request: PlaybackRequest;
  /** May no more be kept in all? */
  readonly isMemoryFull: (bytes: number) => boolean;
}

/** Bytes that every stream may have, whatever the others have. */
const ALWAYS_ALLOWED = 512 << 10;

/** A playback stream of a client. */
export class SinkInput implements StreamFormat {
  readonly index: number;
  readonly channel: number;
  readonly spec: StreamFormat['spec'];
  readonly map: StreamFormat['map'];
  readonly gain: StreamGain;
  readonly frameBytes: number;
  properties: PropertyList;
  readonly #options: InputOptions;
  readonly #target: InputTarget;
  readonly #queue: PlaybackQueue;
  /** Undefined where its frames are the sink's as they are. */
  #converter: SampleConverter | undefined;
  #wish: PlaybackAttributes & LatencyWish;
  #isCorked: boolean;
  /** It plays; else nothing comes of it but silence until its client has sent enough. */
  #isPlaying = false;
  /** To its client it plays: also through silence, where it runs on. */
  #hasStarted = false;
  /** Bytes since it began, or ceased, to play to its client. */
  #since = 0;
  /** Frames of its own that silence is ahead of what has been passed, less than one. */
  #silenceRest = 0;
  #drains: Deferred<void>[] = [];
  /** Where the last frame of it lies, in frames written to the card. */
  #lastFrame = 0;
  #isClosed = false;

  /** Rejects with {@link PulseError} where it cannot be converted. */
  static async create(options: InputOptions, target: InputTarget): Promise<SinkInput> {
    const gain = new StreamGain(options.spec.channels, options.spec.rate);
    const isExact = isSameFormat(options, target.format);
    const converter = isExact ? undefined : await SampleConverter.create(options, target.format, gain);
    return new SinkInput(options, target, gain, converter);
  }

  private constructor(
    options: InputOptions,
    target: InputTarget,
    gain: StreamGain,
    converter: SampleConverter | undefined,
  ) {
    const { spec, map, request } = options;
    this.index = options.index;
    this.channel = options.channel;
    this.spec = spec;
    this.map = map;
    this.properties = request.properties;
    this.#options = options;
    this.#target = target;
    this.#converter = converter;
    this.#isCorked = request.isCorked;
    const { sampleBytes = 1, pcm = 'u8' } = PULSE_FORMATS[spec.format] ?? {};
    this.frameBytes = sampleBytes * spec.channels;
    this.#wish = { ...request.attributes, ...request };
    const silence = pcmFormat(pcm).silence[0] ?? 0;
    this.#queue = new PlaybackQueue(this.#negotiate(), { frameBytes: this.frameBytes, silence });
    this.gain = gain;
  }

  get client(): number {
    return this.#options.owner.client;
  }

  get attributes(): PlaybackAttributes {
    return this.#queue.attributes;
  }

  get isCorked(): boolean {
    return this.#isCorked;
  }

  /** Sound comes of it, or could at any moment. */
  get isPlaying(): boolean {
    return this.#isPlaying && !this.#isCorked;
  }

  /** Whether its time goes on, to its client, while the card plays. */
  get hasStarted(): boolean {
    return this.#hasStarted && !this.#isCorked;
  }

  /** Whether its frames are the sink's, bit for bit. */
  get isExact(): boolean {
    return this.#converter === undefined && this.gain.isPlain;
  }

  get resamples(): boolean {
    return this.#converter?.resamples ?? false;
  }

  /** s: what it would have wait at the card. */
  get cardShare(): number {
    return cardShare(this.#wish, this.#wish, this.#bytes);
  }

  /** Bytes that its queue keeps. */
  get storedBytes(): number {
    return this.#queue.storedBytes;
  }

  /** Microseconds of sound in its queue. */
  get bufferLatency(): number {
    return (Math.max(0, this.#queue.length) / this.#bytes.bytesPerSecond) * 1e6;
  }

  /** Frames, at the card's rate, that have left the queue and not been written to the card. */
  get pendingFrames(): number {
    const converter = this.#converter;
    return converter ? converter.readyFrames + converter.pendingFrames : 0;
  }

  get indexes() {
    const { writeIndex, readIndex } = this.#queue;
    const [since, hasStarted] = [this.#since, this.#hasStarted];
    return { writeIndex, readIndex, playing: hasStarted ? since : 0, dry: hasStarted ? 0 : since };
  }

  /** Moves the write index. */
  seek(mode: number, offset: number): void {
    this.#queue.seek(mode, offset);
  }

  /** Takes data. */
  write(bytes: Uint8Array): void {
    const { owner, isMemoryFull } = this.#options;
    const isMuch = this.#queue.length + bytes.length > ALWAYS_ALLOWED;
    const isTaken = !(isMuch && isMemoryFull(bytes.length)) && this.#queue.write(bytes);
    if (!isTaken) owner.send(encodeOverflow(this.channel));
    this.#wake();
  }

  cork(isCorked: boolean): void {
    if (isCorked === this.#isCorked) return;
    this.#isCorked = isCorked;
    if (this.#drains.length === 0) this.#queue.beginPrebuffering();
    if (isCorked) this.#cease();
    this.#target.handleWish();
    this.#wake();
    this.request();
  }

  flush(): void {
    this.#queue.flush();
    this.#converter?.reset();
    this.#cease();
    this.#settleDrains();
    this.request();
  }

  /** Plays what there is. */
  trigger(): void {
    this.#queue.endPrebuffering();
    this.#wake();
  }

  /** Waits for its prebuffer again. */
  prebuffer(): void {
    this.#queue.beginPrebuffering();
  }

  /** Plays what there is; resolves when the last of it has left the card. */
  drain(): Promise<void> {
    const drained = deferred();
    this.#drains.push(drained);
    this.trigger();
    this.#settleDrains();
    return drained.promise;
  }

  setAttributes(attributes: PlaybackAttributes, { adjustLatency, earlyRequests }: LatencyWish): void {
    this.#wish = { ...attributes, adjustLatency, earlyRequests };
    this.#queue.attributes = this.#negotiate();
    this.#target.handleWish();
    this.#wake();
    this.request();
  }

  /** Asks its client for more, where that is worth it. */
  request(): void {
    if (this.#options.owner.backlog > BACKLOG.requests) return;
    const bytes = this.#queue.takeRequest();
    if (bytes > 0) this.#options.owner.send(encodeDataRequest(this.channel, bytes));
  }

  /** What its client is asked for when it is made. */
  takeFirstRequest(): number {
    return this.#queue.takeRequest();
  }

  /** Makes up to so many frames ready, at the card's rate; how many there are. */
  prepare(frames: number): number {
    const converter = this.#converter;
    if (converter === undefined) return Math.min(frames, this.#queue.readableFrames);
    while (converter.readyFrames < frames && this.#queue.readableFrames > 0) {
      const missing = Math.ceil((frames - converter.readyFrames) / converter.ratio);
      converter.push(this.#queue.read(Math.min(missing, this.#queue.readableFrames)));
    }
    return Math.min(frames, converter.readyFrames);
  }

  /** The next frames as they are, which the sink's are. */
  takeBytes(frames: number): Uint8Array {
    this.gain.noteBegun();
    const bytes = this.#queue.read(frames);
    this.#notePlayed(frames);
    return bytes;
  }

  /** The next frames, of which so many are prepared, as samples of the sink's. */
  takeValues(frames: number, convert: (bytes: Uint8Array) => Float64Array): Float64Array {
    let values: Float64Array;
    if (this.#converter) {
      values = this.#converter.take(frames);
    } else {
      values = convert(this.#queue.read(frames));
      this.gain.apply(values);
    }
    this.#notePlayed(frames);
    return values;
  }

  /** It has nothing, and the card cannot wait. Says whether there is still something to play. */
  fallDry(): boolean {
    this.#converter?.flush();
    if (this.prepare(1) > 0) return true;
    const isEnd = this.#drains.length > 0;
    const { owner, version } = this.#options;
    if (!isEnd) owner.send(encodeUnderflow(this.channel, this.#queue.readIndex, version));
    this.#isPlaying = false;
    if (!this.#queue.runsOn) this.#cease();
    this.#queue.beginPrebuffering();
    return false;
  }

  /** So many frames of the card's went by while it was dry. */
  passSilence(frames: number): void {
    if (this.#isCorked || this.#isPlaying) return;
    const own = frames / (this.#target.format.spec.rate / this.spec.rate) + this.#silenceRest;
    this.#silenceRest = own % 1;
    this.#since += Math.floor(own) * this.frameBytes;
    this.#queue.passSilence(Math.floor(own));
    this.#wake();
  }

  /** The card has played so many frames of those written. */
  handlePlayed(played: number): void {
    if (this.#drains.length > 0) this.#settleDrains(played);
  }

  /** It was killed, by another client or because its sink is gone. */
  kill(): void {
    if (this.#isClosed) return;
    this.#options.owner.send(encodeKilled('playback', this.channel));
  }

  /** Gives its memory back. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#isPlaying = false;
    this.#converter?.close();
    for (const drain of this.#drains.splice(0)) drain.reject(new PulseError('noEntity'));
  }

  get #bytes() {
    return { frameBytes: this.frameBytes, bytesPerSecond: this.frameBytes * this.spec.rate };
  }

  #negotiate(): PlaybackAttributes {
    return negotiatePlayback(this.#wish, this.#wish, this.#bytes, this.#target.timingFor(this.cardShare));
  }

  /** Begins to play where there is enough. */
  #wake(): void {
    if (this.#isCorked || this.#isClosed) return;
    const isNews = !this.#isPlaying && this.#queue.readableFrames > 0;
    if (isNews) this.#begin();
    if (this.#isPlaying) this.#target.handleReady(this, isNews);
  }

  #begin(): void {
    this.#isPlaying = true;
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    this.#since = 0;
    this.#options.owner.send(encodeStarted(this.channel));
  }

  #cease(): void {
    this.#isPlaying = false;
    if (!this.#hasStarted) return;
    this.#hasStarted = false;
    this.#since = 0;
    this.#silenceRest = 0;
  }

  #notePlayed(frames: number): void {
    this.#since += frames * this.frameBytes;
    this.#lastFrame = this.#target.written + frames;
  }

  #settleDrains(played = 0): void {
    const hasMore = this.#queue.length >= this.frameBytes || this.pendingFrames > 0;
    if (hasMore || (this.#target.isOpen && played < this.#lastFrame)) return;
    for (const drain of this.#drains.splice(0)) drain.resolve();
  }
}
