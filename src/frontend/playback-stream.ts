import { Writable } from 'node:stream';
import type { Timer } from '../clock.ts';
import type { StreamConfig } from '../config/card.ts';
import { invalidArg, VsndError } from '../errors.ts';
import {
  type BufferWishes,
  checkBufferWishes,
  checkSpec,
  chooseParams,
  defaultStartThreshold,
  type HwParams,
  intersectRanges,
  type PcmSpec,
  queryRanges,
} from '../pcm/hw-params.ts';
import { PlaybackPosition } from '../pcm/position.ts';
import {
  type PlaybackEffect,
  type PlaybackEvent,
  type PlaybackState,
  playbackTransition,
} from '../pcm/substream.ts';
import { type PcmFormatName, pcmFormat } from '../wire/pcm-format.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import type { StreamChannel } from './channel.ts';
import { SharedBuffer } from './shared-buffer.ts';

/** Octets; 85 ms of 48 kHz s16 stereo. */
const DEFAULT_HIGH_WATER_MARK = 16_384;

export interface PlaybackStreamOptions {
  /** Hz; one of the stream's `rates`. */
  rate: number;
  channels: number;
  /** One of the stream's `formats`; a name of sndif.h, or libxl's (`f32_le`). */
  format: PcmFormatName | 'f32_le' | 'f32_be' | 'f64_le' | 'f64_be';
  /** The PCM device's index; by default the first with a free playback stream. */
  device?: number | undefined;
  /** The stream's index in its device; by default the first free one. */
  stream?: number | undefined;
  /** Frames of the shared buffer, as far as the backend can; by default 200 ms. */
  bufferFrames?: number | undefined;
  /** Frames between two reports of the position; by default an eighth of the buffer. */
  periodFrames?: number | undefined;
  /** Frames to write before playing starts; by default the buffer less a period. */
  startThresholdFrames?: number | undefined;
  /** Aborting it destroys the stream. */
  signal?: AbortSignal | undefined;
  /** Octets that wait in JavaScript, before the shared buffer; by default 16384, on every version of Node. */
  highWaterMark?: number | undefined;
}

/** Something worth knowing that ends nothing. */
export interface StreamWarning {
  readonly code: 'VSND_PARTIAL_FRAME' | 'VSND_DRAIN_STALLED';
  readonly message: string;
}

export interface PlaybackStreamEvents {
  /** The backend has opened the stream; buffer and period are now known. */
  open: [];
  /** The backend has reported a new position: frames played since the stream was opened. */
  position: [{ frames: number }];
  /** Nothing was left to play: after how many frames, and how often that has happened so far. Playing goes on with the next write. */
  underrun: [{ frames: number; count: number }];
  warning: [StreamWarning];
}

/** What a stream needs of its card. */
export interface PlaybackSlot {
  readonly hypervisor: Hypervisor;
  readonly backendDomid: number;
  readonly config: StreamConfig;
  readonly channel: StreamChannel;
  /** Gives the stream back to the card. */
  release(): void;
}

/** A chunk on its way into the shared buffer. */
interface PendingWrite {
  readonly octets: Uint8Array;
  taken: number;
  unanswered: number;
  readonly callback: (error?: Error | null) => void;
}

/**
 * Plays what is written to it: interleaved frames in the stream's format. Takes data only as the backend reports it
 * played, so `write()` returning false, and 'drain', follow the sound card. 'finish' means that the last frame has been
 * played; 'close' follows once. Chunks need not end at frames. `destroy()` stops at once and throws away what is queued.
 */
export class PlaybackStream extends Writable {
  /** Hz */
  readonly rate: number;
  readonly channels: number;
  readonly format: PcmFormatName;
  /** Octets of one frame */
  readonly frameBytes: number;

  readonly #slot: PlaybackSlot;
  readonly #spec: PcmSpec;
  readonly #wishes: BufferWishes & { startThresholdFrames?: number | undefined };
  #state: PlaybackState = 'closed';
  #params: HwParams | undefined;
  #startThreshold = 0;
  #buffer: SharedBuffer | undefined;
  #position: PlaybackPosition;
  /** Octets of an incomplete frame. */
  #carry = Buffer.alloc(0);
  #write: PendingWrite | undefined;
  #final: ((error?: Error | null) => void) | undefined;
  #stallTimer: Timer | undefined;
  /** The backend may hold its device open for us. */
  #mustClose = false;
  /** Settles when every effect so far has been carried out; rejects where the backend refused the last CLOSE. */
  #effects: Promise<unknown> = Promise.resolve();
  #underruns = 0;
  #positionReports = 0;

  /** Not for users: `card.createPlaybackStream()`. Throws ERR_VSND_INVALID_ARG. */
  constructor(slot: PlaybackSlot, options: PlaybackStreamOptions) {
    const spec = checkSpec(options, slot.config);
    checkBufferWishes(options, spec, slot.config);
    checkStartThreshold(options);
    const { signal, highWaterMark = DEFAULT_HIGH_WATER_MARK } = options;
    super({ highWaterMark, ...(signal && { signal }) });
    this.#slot = slot;
    this.#spec = spec;
    this.#wishes = options;
    this.#position = new PlaybackPosition(spec.frameBytes, spec.frameBytes);
    this.rate = spec.rate;
    this.channels = spec.channels;
    this.format = spec.format;
    this.frameBytes = spec.frameBytes;
  }

  /** Frames of the shared buffer; 0 before 'open'. */
  get bufferFrames(): number {
    return this.#params?.bufferFrames ?? 0;
  }

  /** Frames between two reports of the position; 0 before 'open'. */
  get periodFrames(): number {
    return this.#params?.periodFrames ?? 0;
  }

  /** Frames played, as the backend last reported. */
  get position(): number {
    return Math.floor(this.#position.hwPtr / this.frameBytes);
  }

  /** Frames in the shared buffer that have not been reported as played. */
  get latency(): number {
    return Math.ceil((this.#position.queued - this.#position.hwPtr) / this.frameBytes);
  }

  /** How often nothing was left to play before the end. */
  get underruns(): number {
    return this.#underruns;
  }

  /** XENSND_EVT_CUR_POS events received. */
  get positionReports(): number {
    return this.#positionReports;
  }

  /** The substream's state. */
  get state(): PlaybackState {
    return this.#state;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#open().then(() => callback(), callback);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#accept(chunk, callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#accept(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#carry.length > 0) {
      this.#warn(
        'VSND_PARTIAL_FRAME',
        `the last ${this.#carry.length} octets are not a whole frame of ${this.frameBytes}; they were dropped`,
      );
    }
    this.#final = callback;
    if (this.#position.queued === 0) {
      this.#apply('endEmpty');
      this.#finish();
    } else {
      this.#silenceRestOfPeriod();
      this.#apply('end');
      this.#watchForStall();
      this.#checkPlayed();
    }
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#apply('destroy');
    this.#stallTimer?.cancel();
    this.#failWrite(
      error ?? new VsndError('ERR_VSND_INVALID_STATE', 'the stream was destroyed before this was played'),
    );
    this.#effects
      .then(() => this.#close())
      .catch(() => {}) // on the way out the backend's opinion changes nothing
      .then(() => this.#buffer?.release())
      .then(
        () => callback(error),
        (failure: Error) => callback(error ?? failure),
      )
      .finally(() => {
        this.#slot.channel.use(undefined);
        this.#slot.release();
      });
  }

  async #open(): Promise<void> {
    const { channel, hypervisor, backendDomid } = this.#slot;
    this.#mustClose = true;
    const offer = await this.#queryHwParams();
    if (this.destroyed) return;
    const params = chooseParams(this.#spec, this.#wishes, offer);
    const buffer = await SharedBuffer.grant(hypervisor, backendDomid, params);
    this.#buffer = buffer;
    if (this.destroyed) return;
    await channel.request({
      op: 'open',
      rate: params.rate,
      format: pcmFormat(params.format).code,
      channels: params.channels,
      bufferBytes: buffer.totalBytes,
      directoryGref: buffer.directoryGref,
      periodBytes: params.periodFrames * params.frameBytes,
    });
    this.#params = params;
    this.#position = new PlaybackPosition(buffer.audioBytes, params.frameBytes);
    this.#startThreshold = this.#wishes.startThresholdFrames ?? defaultStartThreshold(params);
    channel.use({
      handlePosition: (position) => this.#handlePosition(position),
      handleFailure: (error) => this.destroy(error),
    });
    this.#apply('opened');
    this.#emitLater('open');
  }

  /** What the host device can do for this spec; what XenStore says, where the backend does not know the question. */
  async #queryHwParams() {
    const asked = queryRanges(this.#spec, this.#wishes, this.#slot.config);
    try {
      const { ranges } = await this.#slot.channel.request({ op: 'hwParamQuery', ranges: asked });
      return ranges ? intersectRanges(asked, ranges) : asked;
    } catch (error) {
      if (error instanceof VsndError && error.code === 'ERR_VSND_STATUS') return asked;
      throw error;
    }
  }

  /** Takes whole frames of what has been carried and of `chunk`; carries the rest. */
  #accept(chunk: Buffer, callback: (error?: Error | null) => void): void {
    const octets = this.#carry.length > 0 ? Buffer.concat([this.#carry, chunk]) : chunk;
    const whole = octets.length - (octets.length % this.frameBytes);
    this.#carry = Buffer.from(octets.subarray(whole));
    if (whole === 0) {
      callback();
      return;
    }
    this.#write = { octets: octets.subarray(0, whole), taken: 0, unanswered: 0, callback };
    this.#fillBuffer();
  }

  /** Copies as much of the pending write as has room by the last reported position, and tells the backend. */
  #fillBuffer(): void {
    const write = this.#write;
    if (write === undefined || this.#buffer === undefined) return;
    const length = Math.min(this.#position.room, write.octets.length - write.taken);
    if (length === 0) return;
    for (const span of this.#position.enqueue(length)) {
      this.#buffer.write(span.offset, write.octets.subarray(write.taken, write.taken + span.length));
      write.taken += span.length;
      write.unanswered++;
      this.#slot.channel.request({ op: 'write', ...span }).then(
        () => this.#handleWritten(write, span.length),
        (error: Error) => this.destroy(error),
      );
    }
    if (this.#state === 'underrun') this.#apply('refilled');
    if (this.#state === 'prepared' && this.#position.queued >= this.#thresholdBytes) this.#apply('threshold');
  }

  get #thresholdBytes(): number {
    return Math.min(this.#startThreshold * this.frameBytes, this.#position.bufferBytes);
  }

  #handleWritten(write: PendingWrite, length: number): void {
    this.#position.acknowledge(length);
    write.unanswered--;
    if (this.#write !== write || write.unanswered > 0 || write.taken < write.octets.length) return;
    this.#write = undefined;
    write.callback();
  }

  #failWrite(error: Error): void {
    const write = this.#write;
    this.#write = undefined;
    write?.callback(error);
  }

  #handlePosition(position: bigint): void {
    if (this.#state === 'prepared' || this.#state === 'finished') return; // nothing moves before START or after STOP
    this.#positionReports++;
    if (this.#position.report(position) > 0) {
      if (this.listenerCount('position') > 0) this.#emitLater('position', { frames: this.position });
      if (this.#state === 'draining') this.#watchForStall();
    }
    if (this.#position.isEmpty && this.#state === 'running') this.#apply('dry');
    this.#fillBuffer();
    this.#checkPlayed();
  }

  /** A backend that reads the buffer as a DMA engine would may read on to the period's end: no old frames there. */
  #silenceRestOfPeriod(): void {
    const periodBytes = this.periodFrames * this.frameBytes;
    for (const span of this.#position.restOfPeriod(periodBytes)) this.#buffer?.silence(span);
  }

  #checkPlayed(): void {
    if (this.#state !== 'draining' || !this.#position.isEmpty) return;
    this.#apply('played');
    this.#finish();
  }

  #watchForStall(): void {
    this.#stallTimer?.cancel();
    const frames = this.latency + 2 * this.periodFrames;
    this.#stallTimer = this.#slot.hypervisor.clock.after((frames * 1e9) / this.rate, () => {
      this.#apply('stalled');
      this.#finish();
    });
  }

  /** 'finish' means that the backend has let go, and has not said on its way out that its device failed. */
  #finish(): void {
    this.#stallTimer?.cancel();
    const final = this.#final;
    this.#final = undefined;
    this.#effects.then(
      () => final?.(),
      (error: Error) => final?.(error),
    );
  }

  #apply(event: PlaybackEvent): void {
    const { to, effects } = playbackTransition(this.#state, event);
    this.#state = to;
    for (const effect of effects) this.#effects = Promise.all([this.#effects, this.#run(effect)]);
  }

  /** Requests go out at once, in order: the ring keeps the order. */
  async #run(effect: PlaybackEffect): Promise<void> {
    switch (effect) {
      case 'triggerStart':
        return await this.#slot.channel.request({ op: 'trigger', trigger: 'start' }).then(
          () => {},
          (error: Error) => void this.destroy(error),
        );
      case 'triggerStop':
        await this.#slot.channel.request({ op: 'trigger', trigger: 'stop' }).catch(() => {}); // CLOSE follows
        return;
      case 'close':
        return await this.#close();
      case 'countUnderrun':
        this.#underruns++;
        this.#emitLater('underrun', { frames: this.position, count: this.#underruns });
        return;
      case 'warnStalled':
        this.#warn(
          'VSND_DRAIN_STALLED',
          `the backend has stopped reporting positions with ${this.latency} frames left; it was asked to play them out`,
        );
        return;
    }
  }

  async #close(): Promise<void> {
    if (!this.#mustClose) return;
    this.#mustClose = false;
    const toPlayOut = (this.latency * 1e9) / this.rate;
    await this.#slot.channel.request({ op: 'close' }, { extraTime: toPlayOut });
  }

  #warn(code: StreamWarning['code'], message: string): void {
    this.#emitLater('warning', { code, message });
  }

  /** A listener that throws is the user's affair: never a failure of the channel in whose handler we are. */
  #emitLater<E extends keyof PlaybackStreamEvents>(event: E, ...args: PlaybackStreamEvents[E]): void {
    process.nextTick(() => this.emit(event as string, ...args));
  }
}

function checkStartThreshold({ startThresholdFrames: value }: PlaybackStreamOptions): void {
  if (value !== undefined && (!Number.isInteger(value) || value < 1)) {
    throw invalidArg('startThresholdFrames', value, 'a whole number of frames, at least 1');
  }
}
