import type { AudioSource, FrameFormat } from '../../audio/audio-source.ts';

/** What is heard at some moment. */
export interface Heard {
  /** Of the recording, in the list. */
  readonly index: number;
  readonly source: AudioSource;
  /** What the card plays it as. */
  readonly target: FrameFormat;
  /** Of the recording. */
  readonly frame: number;
}

/** A stretch of a recording that is, or will be, heard. */
interface Stretch extends Heard {
  /** The voice's position at its first frame. */
  readonly start: number;
}

/** Which recording is heard at which position of the voice: what has been written is heard later. */
export class Timeline {
  readonly #onHeard: (heard: Heard) => void;
  #stretches: Stretch[] = [];
  #last: Heard | undefined;
  /** Up to where frames have been counted. */
  #counted = 0;
  readonly #frames = new Map<number, number>();

  /** `onHeard`: called for each stretch that begins to be heard. */
  constructor(onHeard: (heard: Heard) => void) {
    this.#onHeard = onHeard;
  }

  /** Frames of the card that were heard of each recording, by its number. */
  get frames(): ReadonlyMap<number, number> {
    return this.#frames;
  }

  /** What is written from position `start` on. */
  begin(start: number, heard: Heard): void {
    this.#stretches.push({ ...heard, start });
    if (this.#stretches.length === 1) this.#onHeard(heard);
  }

  /** What is heard at `position`, which never goes back, or was heard last; undefined before anything was written. */
  at(position: number): Heard | undefined {
    for (let next = this.#stretches[1]; next && next.start <= position; next = this.#stretches[1]) {
      this.#count(next.start);
      this.#stretches.shift();
      this.#onHeard(next);
    }
    this.#count(position);
    const [current] = this.#stretches;
    if (current === undefined) return this.#last;
    const { index, start, frame, source, target } = current;
    const played = Math.round(Math.max(0, position - start) * (source.rate / target.rate));
    const limit = source.frames ?? Number.POSITIVE_INFINITY;
    this.#last = { index, source, target, frame: Math.min(frame + played, limit) };
    return this.#last;
  }

  /** What has not been heard at `position` never will be. */
  cut(position: number): void {
    this.at(position);
    this.#stretches = [];
  }

  #count(position: number): void {
    const [current] = this.#stretches;
    if (current === undefined) return;
    const frames = position - Math.max(this.#counted, current.start);
    if (frames > 0) this.#frames.set(current.index, (this.#frames.get(current.index) ?? 0) + frames);
    this.#counted = Math.max(this.#counted, position);
  }
}
