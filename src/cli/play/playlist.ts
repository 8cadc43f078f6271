import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { AudioSource, FrameFormat } from '../../audio/audio-source.ts';
import { type Excerpt, excerptOf } from '../../audio/excerpt.ts';
import { openAudio } from '../../audio/open-audio.ts';
import { checkNesting, isPlaylistName, readPlaylist } from '../../audio/playlist.ts';
import { readTags } from '../../audio/read-tags.ts';
import type { Tags } from '../../audio/title-tags.ts';
import { isWebAddress } from '../../audio/web-address.ts';
import { isVsndError, VsndError } from '../../errors.ts';
import { clockTime } from '../messages.ts';

/** Stands for standard input. */
export const STDIN = '-';

export interface PlaylistOptions {
  /** Paths, addresses, or {@link STDIN}; recordings, or playlists, in whose place comes what they name. */
  readonly files: readonly string[];
  /** What all of them hold, where they are raw PCM. */
  readonly raw: FrameFormat | undefined;
  /** What of each is played. */
  readonly excerpt: Excerpt;
  readonly stdin: Readable;
  /** Ends what is under way with a server. */
  readonly signal: AbortSignal;
  /** A recording cannot be played, or not to its end. */
  readonly onFailure: (error: unknown) => void;
  /** Something is to be said of a recording all the same. */
  readonly onRemark: (remark: string) => void;
  /** A station says what it plays. */
  readonly onTitle: (title: string) => void;
}

interface Entry {
  readonly file: string;
  /** The playlists that have led to it. */
  readonly within: readonly string[];
}

/** What an entry is: a recording, or a playlist and what that names. */
type Opened = { readonly source: AudioSource } | { readonly names: readonly string[] };

/** Recordings in the order in which they are played, each opened when it is its turn. */
export class Playlist {
  readonly #options: PlaylistOptions;
  readonly #entries: Entry[];
  readonly #opening = new Map<Entry, Promise<Opened>>();
  readonly #tags = new WeakMap<AudioSource, Tags>();
  readonly #failures = new Map<number, unknown>();
  readonly #remarks = new Set<string>();
  /** Counts the calls of {@link open}: whoever has asked since then is answered, and nobody else. */
  #asked = 0;

  constructor(options: PlaylistOptions) {
    this.#options = options;
    this.#entries = options.files.map((file) => ({ file, within: [] }));
  }

  /** All that is known so far. */
  get files(): readonly string[] {
    return this.#entries.map(({ file }) => file);
  }

  get length(): number {
    return this.#entries.length;
  }

  /** What went wrong, by the number of the recording. */
  get failures(): ReadonlyMap<number, unknown> {
    return this.#failures;
  }

  /** What a recording is called, where it says it. */
  tagsOf(source: AudioSource): Tags {
    return this.#tags.get(source) ?? {};
  }

  /** The number of the first recording that can be played; undefined where there is none. */
  async firstToPlay(): Promise<number | undefined> {
    const { signal } = this.#options;
    for (let index = 0; index < this.length && !signal.aborted; index++) {
      if (await this.open(index)) return index;
    }
    return undefined;
  }

  /**
   * The recording with this number, which stays open until {@link leave}; of a playlist there, the first that it names. Undefined,
   * and that has been said, where it cannot be opened or holds nothing.
   */
  async open(index: number): Promise<AudioSource | undefined> {
    const asked = ++this.#asked;
    try {
      for (;;) {
        const opened = await this.#open(index);
        if ('source' in opened) return this.#checked(opened.source);
        if (asked !== this.#asked) return undefined; // somebody has gone elsewhere meanwhile
        this.#replace(index, opened.names);
      }
    } catch (error) {
      if (asked === this.#asked && !this.#options.signal.aborted) this.fail(index, error);
      return undefined;
    }
  }

  /** Opens it so that {@link open} need not wait; what is wrong with it will be said there. */
  prepare(index: number): void {
    if (index < this.length) this.#open(index).catch(() => {});
  }

  /** The recording with this number cannot be played, or not to its end; that is said once, however often it is played. */
  fail(index: number, error: unknown): void {
    const isNews = String(this.#failures.get(index)) !== String(error);
    this.#failures.set(index, error);
    if (isNews) this.#options.onFailure(error);
  }

  /** Said once, however often it is played. */
  remark(remark: string): void {
    if (this.#remarks.has(remark)) return;
    this.#remarks.add(remark);
    this.#options.onRemark(remark);
  }

  /** Closes a recording that can be opened again: what comes through a pipe, by name or not, comes once. */
  async leave(index: number): Promise<void> {
    const entry = this.#entries[index];
    if (entry && !(await comesOnce(entry.file))) await this.#close(entry);
  }

  async close(): Promise<void> {
    for (const entry of [...this.#opening.keys()]) await this.#close(entry);
  }

  #checked(source: AudioSource): AudioSource | undefined {
    if (source.frames !== 0) return source;
    const { start } = this.#options.excerpt;
    this.remark(
      `nothing to play: ${source.name} holds no frames${start > 0 ? ` from ${clockTime(start)} on` : ''}`,
    );
    return undefined;
  }

  /** Puts what a playlist names in its place. Throws ERR_VSND_FILE for one that has led to itself. */
  #replace(index: number, names: readonly string[]): void {
    const [{ file, within } = { file: '', within: [] }] = this.#entries.splice(index, 1);
    this.#entries.splice(index, 0, ...names.map((name) => ({ file: name, within: [...within, file] })));
  }

  #open(index: number): Promise<Opened> {
    const entry = this.#entries[index] as Entry;
    const opening = this.#opening.get(entry) ?? this.#find(entry);
    this.#opening.set(entry, opening);
    return opening;
  }

  async #find({ file, within }: Entry): Promise<Opened> {
    const { raw, stdin, excerpt } = this.#options;
    if (file === STDIN) return { source: excerptOf(await openAudio(stdin, { raw }), excerpt) };
    if (isWebAddress(file)) return await this.#findOnWeb(file, within);
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(file)) {
      throw new VsndError('ERR_VSND_FILE', `cannot play ${file}; allowed: files, http://..., https://...`);
    }
    return await this.#findFile(file, within).catch((error: unknown) => {
      throw explained(error, file);
    });
  }

  async #findFile(file: string, within: readonly string[]): Promise<Opened> {
    const { raw } = this.#options;
    if (raw === undefined && isPlaylistName(file)) {
      checkNesting(file, within);
      return { names: await readPlaylist(file) };
    }
    const source = await openAudio(file, { raw });
    return this.#recording(source, raw || (await comesOnce(file)) ? {} : await readTags(file));
  }

  async #findOnWeb(file: string, within: readonly string[]): Promise<Opened> {
    const { openWeb } = await import('../../audio/web-audio.ts'); // most people have files
    const { raw, signal, onTitle } = this.#options;
    const onLost = (reason: string, seconds: number) =>
      this.#options.onRemark(`lost ${file}: ${reason}; again in ${seconds} s`);
    const found = await openWeb(file, { raw, signal, onTitle, onLost });
    if (!Array.isArray(found)) return this.#recording(found, { title: found.station });
    checkNesting(file, within);
    return { names: found };
  }

  #recording(whole: AudioSource, tags: Tags): Opened {
    const source = excerptOf(whole, this.#options.excerpt);
    this.#tags.set(source, tags);
    return { source };
  }

  async #close(entry: Entry): Promise<void> {
    const opening = this.#opening.get(entry);
    this.#opening.delete(entry);
    const opened = await opening?.catch(() => undefined);
    if (opened && 'source' in opened) await opened.source.close();
  }
}

/** Whether what is there can be opened once: it comes through a pipe, by name or not. */
async function comesOnce(file: string): Promise<boolean> {
  if (file === STDIN) return true;
  const stats = isWebAddress(file) ? undefined : await stat(file).catch(() => undefined);
  return stats !== undefined && !stats.isFile();
}

/** What Node puts for bytes of an argument that are not UTF-8. */
const REPLACEMENT = '\ufffd';

/** The error with which `file` could not be opened, and why, where that is the name. */
function explained(error: unknown, file: string): unknown {
  if (!isVsndError(error, 'ERR_VSND_FILE') || error.errno !== 'ENOENT' || !file.includes(REPLACEMENT))
    return error;
  const advice = 'its name is not UTF-8, and Node.js knows no others; play it with: vsnd play - < FILE';
  return new VsndError(error.code, `${error.message}: ${advice}`, { errno: error.errno, cause: error });
}
