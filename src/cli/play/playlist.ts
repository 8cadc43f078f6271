import type { Readable } from 'node:stream';
import type { AudioSource, FrameFormat } from '../../audio/audio-source.ts';
import { openAudio } from '../../audio/open-audio.ts';
import { isVsndError, VsndError } from '../../errors.ts';

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

  /** Closes a recording that can be opened again: what comes through a pipe, by name or not, comes once. */
  async leave(index: number): Promise<void> {
    const source = await this.#opening.get(index)?.catch(() => undefined);
    if (source?.isSeekable !== false) await this.#close(index);
  }

  async close(): Promise<void> {
    for (const index of [...this.#opening.keys()]) await this.#close(index);
  }

  #open(index: number): Promise<AudioSource> {
    const { files, raw, stdin } = this.#options;
    const file = files[index] as string;
    const open = () => (file === STDIN ? openAudio(stdin, { raw }) : openNamed(file, raw));
    const opening = this.#opening.get(index) ?? open();
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

/** What Node puts for bytes of an argument that are not UTF-8. */
const REPLACEMENT = '\ufffd';

async function openNamed(file: string, raw: FrameFormat | undefined): Promise<AudioSource> {
  try {
    return await openAudio(file, { raw });
  } catch (error) {
    if (!isVsndError(error, 'ERR_VSND_FILE') || error.errno !== 'ENOENT' || !file.includes(REPLACEMENT))
      throw error;
    const advice = 'its name is not UTF-8, and Node.js knows no others; play it with: vsnd play - < FILE';
    throw new VsndError(error.code, `${error.message}: ${advice}`, { errno: error.errno, cause: error });
  }
}
