/**
 * For programs written for npm `speaker`: the same on a virtual sound card.
 * @module vsnd/speaker
 */

import { endianness } from 'node:os';
import { type Readable, Writable, type WritableOptions } from 'node:stream';
import { abortError, invalidArgError, VsndError } from './errors.ts';
import type { Card } from './frontend/card.ts';
import type { PlaybackStream } from './frontend/playback-stream.ts';
import { emitLater } from './frontend/stream-events.ts';
import { ReleaseStack } from './release-stack.ts';
import { type DevicePlace, parseDeviceName } from './speaker/device-name.ts';
import { type Encoding, encodingOf, isEncoding } from './speaker/encoding.ts';
import { FrameCutter } from './speaker/frames.ts';
import { processCards } from './speaker/shared-cards.ts';
import { takeStream } from './speaker/take-stream.ts';
import { Voice, whenClosed } from './speaker/voice.ts';

declare namespace Speaker {
  /** How the bytes that are written are to be understood. */
  interface Format {
    /** Interleaved; by default 2. */
    readonly channels?: number | null | undefined;
    /** 8, 16, 24 (packed: 3 bytes) or 32; with `float` 32 or 64. By default 16, with `float` 32. */
    readonly bitDepth?: number | null | undefined;
    /** Hz; by default 44100. */
    readonly sampleRate?: number | null | undefined;
    /** By default true, and false where `bitDepth` is 8. */
    readonly signed?: boolean | null | undefined;
    /** By default false. */
    readonly float?: boolean | null | undefined;
    /** Kept for `speaker`'s sake: vsnd sends as much at a time as the card has room for. By default 1024. */
    readonly samplesPerFrame?: number | null | undefined;
  }

  interface Options extends WritableOptions, Format {
    /** 'hw:CARD,DEVICE' or 'hw:CARD', in numbers; by default the first PCM device of the first card with a free stream. */
    readonly device?: string | null | undefined;
    /** Only 'LE', the byte order of every Xen machine. */
    readonly endianness?: 'LE' | 'BE' | null | undefined;
    /** Has no meaning to a Writable, here as in `speaker`. */
    readonly lowWaterMark?: number | undefined;
    /** Bytes that wait in JavaScript; by default 0. */
    readonly highWaterMark?: number | undefined;
    /** A card that the program has opened itself, and closes; by default all speakers of a process share one. */
    readonly card?: Card | undefined;
  }
}

/** As many as a card may have: a u8 in XenStore. */
const MAX_CHANNELS = 255;

/** Hz */
const MAX_RATE = 768_000;

/** What a speaker takes over from its options, and from a stream that is piped to it. */
const PROPERTIES = [
  'channels',
  'bitDepth',
  'sampleRate',
  'signed',
  'float',
  'samplesPerFrame',
  'device',
] as const;

/**
 * npm `speaker` 0.5.5 on a virtual sound card: a Writable of PCM that opens the card at the first write. Beside Node's own
 * it emits 'open', 'flush' when all has been played after `end()`, and once 'close'; where it differs: docs/speaker.md.
 */
class Speaker extends Writable {
  /** As `speaker` has it. */
  static readonly api_version = 1;
  /** As `speaker` has it: what plays. */
  static readonly module_name = 'vsnd';
  /** As `speaker` has it. */
  static readonly description = 'Plays on the virtual sound card of a Xen guest.';

  /** As {@link Speaker.Options}; undefined until they are said, or the card is opened, which takes the defaults. */
  channels: number | undefined;
  /** Bits of a sample. */
  bitDepth: number | undefined;
  /** Hz */
  sampleRate: number | undefined;
  /** Whether samples are signed integers. */
  signed: boolean | undefined;
  /** Whether samples are floating-point numbers. */
  float: boolean | undefined;
  /** The card and PCM device that were asked for. */
  device: string | null | undefined;
  /** Has no effect. */
  samplesPerFrame = 1024;
  /** That of this machine: 'LE'. */
  readonly endianness = endianness();
  /** Bytes of one frame as it is written; undefined before the card is opened. */
  blockAlign: number | undefined;

  readonly #card: Card | undefined;
  /** What is piped here. */
  readonly #sources = new Set<Readable>();
  readonly #releases = new ReleaseStack();
  readonly #leaving = new AbortController();
  #opening: Promise<Voice> | undefined;
  #stream: PlaybackStream | undefined;
  #hasEmittedClose = false;

  /** The MPG123_ENC_* number of a format; null where `speaker` has none. */
  static getFormat(format: Speaker.Format): number | null {
    return encodingOf(format)?.code ?? null;
  }

  /** Whether a format, or its MPG123_ENC_* number, can be played: every one that has a number. */
  static isSupported(format: Speaker.Format | number): boolean {
    const code = typeof format === 'number' ? format : Speaker.getFormat(format);
    return code !== null && isEncoding(code);
  }

  /** Throws ERR_VSND_INVALID_ARG for another `endianness` and for what is no `card`; for all else, as `speaker` does, the first write fails. */
  constructor(options?: Speaker.Options | null) {
    const { card, ...rest } = options ?? {};
    if (card !== undefined && typeof card?.createPlaybackStream !== 'function') {
      throw invalidArgError('card', card, "a Card, as openCard() of 'vsnd' gives");
    }
    super({ ...rest, highWaterMark: rest.highWaterMark ?? 0, autoDestroy: true, emitClose: false });
    this.#card = card;
    this.#adopt(rest);
    this.on('pipe', (source) => this.#handlePipe(source));
    this.on('unpipe', (source) => this.#handleUnpipe(source));
    this.on('finish', () => {
      this.emit('flush');
      this.destroy();
    });
  }

  /** As the static one: the types of `speaker` have it here. */
  getFormat(format: Speaker.Format): number | null {
    return Speaker.getFormat(format);
  }

  /** As the static one: the types of `speaker` have it here. */
  isSupported(format: Speaker.Format | number): boolean {
    return Speaker.isSupported(format);
  }

  /** Throws away what has not been played, and closes; `close(false)` plays it first, as `end()`. Idempotent. */
  close(flush = true): void {
    if (this.destroyed) return;
    for (const source of this.#sources) source.unpipe(this);
    if (this.#opening !== undefined && !flush) {
      this.end();
      return;
    }
    this.destroy();
    if (this.#opening === undefined) this.#emitClose(); // at once, as programs written for `speaker` expect
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#opening ??= this.#open();
    const reason = (error: Error) => (this.destroyed ? (this.errored ?? abortError()) : error);
    this.#opening
      .then((voice) => voice.play(chunk))
      .then(
        () => callback(),
        (error: Error) => callback(reason(error)),
      );
  }

  /** @internal */
  override _final(callback: (error?: Error | null) => void): void {
    this.#playOut().then(() => callback(), callback);
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#leaving.abort();
    this.#stream?.destroy(); // now: the next speaker may be waiting for this stream
    const end = (failure: Error | null) => {
      callback(failure);
      process.nextTick(() => this.#emitClose()); // after 'error'
    };
    this.#release().then(
      () => end(error),
      (failure: Error) => end(error ?? failure),
    );
  }

  async #open(): Promise<Voice> {
    const { encoding, channels, rate } = this.#settleFormat();
    const { card: devid, device } = this.#settlePlace();
    const source = { format: encoding.format, channels, rate };
    const card = this.#card ?? (await this.#joinCard(devid));
    const stream = await takeStream(card, source, device);
    this.#releases.push(() => whenClosed(stream.destroy()));
    this.#stream = stream;
    stream.on('error', (error) => this.destroy(error));
    for (const event of ['open', 'underrun', 'warning'] as const) {
      stream.on(event, (...args: unknown[]) => this.emit(event, ...args));
    }
    const voice = await Voice.create(stream, source, new FrameCutter(encoding, channels));
    this.#releases.push(() => voice.close());
    return voice;
  }

  async #joinCard(devid: number | undefined): Promise<Card> {
    const share = await processCards().join(devid, this.#leaving.signal);
    this.#releases.push(() => share.leave());
    return share.card;
  }

  /** Takes the defaults for what nobody has said. Throws ERR_VSND_INVALID_ARG, for a sample in `speaker`'s words. */
  #settleFormat(): { encoding: Encoding; channels: number; rate: number } {
    this.channels ??= 2;
    this.bitDepth ??= this.float ? 32 : 16;
    this.sampleRate ??= 44_100;
    this.signed ??= this.bitDepth !== 8;
    this.blockAlign = (this.bitDepth / 8) * this.channels;
    const encoding = encodingOf(this);
    if (encoding === undefined) {
      const cause = invalidArgError('bitDepth', this.bitDepth, '8, 16, 24, 32; with float 32, 64');
      const details = { option: 'bitDepth', cause };
      throw new VsndError('ERR_VSND_INVALID_ARG', 'invalid PCM format specified', details);
    }
    checkWhole('channels', this.channels, MAX_CHANNELS);
    checkWhole('sampleRate', this.sampleRate, MAX_RATE);
    return { encoding, rate: this.sampleRate, channels: this.channels };
  }

  #settlePlace(): DevicePlace {
    this.device ??= null;
    if (typeof this.device !== 'string') return {};
    const place = parseDeviceName(this.device);
    if (place) return place;
    const message = `device is ${JSON.stringify(this.device)}, which means nothing here: playing as without it`;
    this.#warn('VSND_DEVICE_UNKNOWN', `${message}; allowed: default, hw:CARD, hw:CARD,DEVICE`);
    return {};
  }

  /** 'finish' means that all has been played, and that the card is free for the next one. */
  async #playOut(): Promise<void> {
    if (this.#opening === undefined) return;
    const voice = await this.#opening;
    if (voice.rest > 0) {
      const message = `the last ${voice.rest} bytes are not a whole frame of ${this.blockAlign}; they were dropped`;
      this.#warn('VSND_PARTIAL_FRAME', message);
    }
    await voice.playOut();
    await this.#release();
  }

  async #release(): Promise<void> {
    await this.#opening?.catch(() => {}); // the write that wanted it has the error
    await this.#releases.releaseAll();
  }

  #adopt(source: Speaker.Options): void {
    if (source.endianness != null && source.endianness !== this.endianness) {
      const message = `only native endianness ("${this.endianness}") is supported, got "${source.endianness}"`;
      throw new VsndError('ERR_VSND_INVALID_ARG', message, { option: 'endianness' });
    }
    const said = PROPERTIES.map((name) => [name, source[name]] as const).filter(([, value]) => value != null);
    if (this.#opening === undefined) {
      Object.assign(this, Object.fromEntries(said));
    } else if (said.some(([name, value]) => value !== this[name])) {
      this.#warn('VSND_FORMAT_LATE', 'the format has changed after the first write: it is not heeded');
    }
  }

  readonly #handleFormat = (source: Speaker.Options): void => {
    try {
      this.#adopt(source);
    } catch (error) {
      this.destroy(error as Error);
    }
  };

  #handlePipe(source: Readable): void {
    this.#sources.add(source);
    this.#handleFormat(source as Speaker.Options);
    source.once('format', this.#handleFormat);
  }

  #handleUnpipe(source: Readable): void {
    this.#sources.delete(source);
    source.off('format', this.#handleFormat);
  }

  #emitClose(): void {
    if (this.#hasEmittedClose) return;
    this.#hasEmittedClose = true;
    this.emit('close');
  }

  #warn(code: string, message: string): void {
    emitLater(this, 'warning', { code, message });
  }
}

function checkWhole(name: string, value: unknown, most: number): void {
  if (!Number.isInteger(value) || Number(value) < 1 || Number(value) > most) {
    throw invalidArgError(name, value, `a whole number from 1 to ${most}`);
  }
}

export { Speaker as default };
