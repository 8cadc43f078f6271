import type { CapturePacing } from '../pcm/capture-pacing.ts';
import type { PlaybackPacing } from '../pcm/playback-pacing.ts';
import type { Span } from '../pcm/spans.ts';
import type { SubstreamState } from '../pcm/substream.ts';
import type { StreamChannel } from './channel.ts';
import type { CaptureEngine, PlaybackEngine } from './engine.ts';
import type { SharedBuffer } from './shared-buffer.ts';

/** What the engines in JavaScript work with: the channel and the buffer of one OPEN, and the substream's state. */
export interface EngineParts {
  readonly channel: StreamChannel;
  readonly buffer: SharedBuffer;
  readonly substream: { readonly state: SubstreamState };
}

/** Playback in JavaScript: frames are copied into the granted pages, a WRITE tells of each part. */
export class ScriptPlayback implements PlaybackEngine {
  readonly #pacing: PlaybackPacing;
  readonly #parts: EngineParts;
  /** What was copied in and has not been told: from where, and how many bytes. */
  #untoldOffset = 0;
  #untold = 0;
  /** Answers wake us. */
  #isWoken = false;

  constructor(pacing: PlaybackPacing, parts: EngineParts) {
    this.#pacing = pacing;
    this.#parts = parts;
  }

  write(source: Uint8Array, start: number, pending: number): number {
    const room = this.#pacing.room(pending, this.#parts.substream.state);
    const length = Math.min(room, source.length - start);
    const untilWrap = length > 0 ? this.#pacing.untilWrap : 0;
    if (length <= untilWrap) this.#copyIn(source, start, length);
    else {
      this.#copyIn(source, start, untilWrap);
      this.#copyIn(source, start + untilWrap, length - untilWrap);
    }
    return length;
  }

  flush(): boolean {
    if (this.#untold > 0) {
      this.#tell();
      this.#parts.channel.flush();
    }
    this.#chooseWaker();
    return false;
  }

  finish(): boolean {
    return true;
  }

  get isCarried(): boolean {
    return false;
  }

  get staged(): number {
    return 0;
  }

  refresh(): void {}
  attend(): void {}

  close(): void {}

  /** Where positions do not come, or have come before answers, these wake us: they make room, or say what is wrong. */
  #chooseWaker(): void {
    if (this.#pacing.isPacedByAnswers) return;
    const isWoken = this.#parts.substream.state !== 'running' || this.#pacing.isHeldByAnswers;
    if (isWoken === this.#isWoken) return;
    this.#isWoken = isWoken;
    this.#parts.channel.wakeForAnswers(isWoken);
  }

  silenceRestOfPeriod(): void {
    for (const span of this.#pacing.restOfPeriod) this.#parts.buffer.silence(span);
  }

  unplayed(): Uint8Array {
    return this.#parts.buffer.read(this.#pacing.unplayed);
  }

  openPort(): undefined {}

  /** One WRITE for all that follows upon each other in the buffer, whatever pieces it came in. */
  #copyIn(source: Uint8Array, start: number, length: number): void {
    if (length === 0) return;
    const { offset } = this.#pacing;
    if (this.#untold > 0 && offset === 0) this.#tell();
    const isWhole = start === 0 && length === source.length;
    this.#parts.buffer.write(offset, isWhole ? source : source.subarray(start, start + length));
    this.#pacing.enqueue(length);
    if (this.#untold === 0) this.#untoldOffset = offset;
    this.#untold += length;
  }

  #tell(): void {
    this.#parts.channel.post({ op: 'write', offset: this.#untoldOffset, length: this.#untold });
    this.#untold = 0;
  }
}

/** Capture in JavaScript: a READ makes the backend fill a part of the granted pages, of which a copy is made. */
export class ScriptCapture implements CaptureEngine {
  readonly #pacing: CapturePacing;
  readonly #parts: EngineParts;
  #asked: readonly Span[] = [];
  #unanswered = 0;

  constructor(pacing: CapturePacing, parts: EngineParts) {
    this.#pacing = pacing;
    this.#parts = parts;
    parts.channel.wakeForAnswers(true);
  }

  ask(length: number): void {
    this.#asked = this.#pacing.ask(length);
    this.#unanswered = this.#asked.length;
    for (const { offset, length } of this.#asked) this.#parts.channel.post({ op: 'read', offset, length });
    this.#parts.channel.flush();
  }

  /** Goes on with what another has asked for. */
  resume(asked: readonly Span[]): void {
    this.#asked = asked;
    this.#unanswered = asked.length;
  }

  /** What was asked for is not there yet. */
  get isWaiting(): boolean {
    return this.#unanswered > 0;
  }

  answer(): void {
    this.#unanswered--;
  }

  take(): Buffer | undefined {
    if (this.#asked.length === 0 || this.#unanswered > 0) return undefined;
    const frames = this.#parts.buffer.read(this.#asked);
    this.#asked = [];
    return frames;
  }

  unread(): undefined {}

  openPort(): undefined {}

  get portRoom(): number {
    return 0;
  }

  stage(): void {}

  rest(): void {}

  get isCarried(): boolean {
    return false;
  }

  get staged(): number {
    return 0;
  }

  refresh(): void {}
  attend(): void {}

  close(): void {}
}
