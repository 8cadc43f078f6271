import type { Readable } from 'node:stream';
import type { AudioSource, FrameFormat } from '../../audio/audio-source.ts';
import { openAudio } from '../../audio/open-audio.ts';

/** Stands for standard input. */
export const STDIN = '-';

export interface PlaylistOptions {
  /** Paths, or {@link STDIN}. */
  readonly files: readonly string[];
  /** What all of them hold, where they are raw PCM. */
  readonly raw: FrameFormat | undefined;
  readonly stdin: Readable;
  /** A recording cannot be played, or not to its end. */
  readonly onFailure: (error: unknown) => void;
  /** Something is to be said of a recording all the same. */
  readonly onRemark: (remark: string) => void;
}

/** Recordings in the order in which they are played, each opened when it is its turn. */
export class Playlist {
  readonly files: readonly string[];
  readonly #options: PlaylistOptions;
  readonly #opening = new Map<number, Promise<AudioSource>>();
  readonly #failures = new Map<number, unknown>();

  constructor(options: PlaylistOptions) {
    this.files = options.files;
    this.#options = options;
  }

  get length(): number {
    return this.files.length;
  }

  /** What went wrong, by the number of the recording. */
  get failures(): ReadonlyMap<number, unknown> {
    return this.#failures;
  }

  /** The number of the first recording that can be played; undefined where there is none. */
  async firstToPlay(): Promise<number | undefined> {
    for (const index of this.files.keys()) if (await this.open(index)) return index;
    return undefined;
  }

  /**
   * The recording with this number, which stays open until {@link leave}. Undefined, and that has been said, where it cannot be
   * opened or holds nothing.
   */
  async open(index: number): Promise<AudioSource | undefined> {
    try {
      const source = await this.#open(index);
      if (source.frames !== 0) return source;
      this.#options.onRemark(`nothing to play: ${source.name} holds no frames`);
    } catch (error) {
      this.fail(index, error);
    }
    return undefined;
  }

  /** Opens it so that {@link open} need not wait; what is wrong with it will be said there. */
  prepare(index: number): void {
    if (index < this.length) this.#open(index).catch(() => {});
  }

  /** The recording with this number cannot be played, or not to its end. */
  fail(index: number, error: unknown): void {
    this.#failures.set(index, error);
    this.#options.onFailure(error);
  }

  remark(remark: string): void {
    this.#options.onRemark(remark);
  }

  /** Closes a recording that can be opened again. */
  async leave(index: number): Promise<void> {
    if (this.files[index] !== STDIN) await this.#close(index);
  }

  async close(): Promise<void> {
    for (const index of [...this.#opening.keys()]) await this.#close(index);
  }

  #open(index: number): Promise<AudioSource> {
    const { files, raw, stdin } = this.#options;
    const file = files[index] as string;
    const opening = this.#opening.get(index) ?? openAudio(file === STDIN ? stdin : file, { raw });
    this.#opening.set(index, opening);
    return opening;
  }

  async #close(index: number): Promise<void> {
    const opening = this.#opening.get(index);
    this.#opening.delete(index);
    const source = await opening?.catch(() => undefined);
    await source?.close();
  }
}
