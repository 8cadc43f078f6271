import { Readable } from 'node:stream';
import { type Clock, RealClock, wait } from '../clock.ts';
import { invalidArgError, VsndError } from '../errors.ts';
import { checkOptionNames } from '../option-names.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { AudioSource, FrameFormat } from './audio-source.ts';
import { createFrameConverter } from './frame-converter.ts';
import { withoutTitles } from './icy.ts';
import { openAudio } from './open-audio.ts';
import { checkNesting, isPlaylistHead, isPlaylistName, readWebPlaylist } from './playlist.ts';
import { isWebAddress } from './web-address.ts';
import { askServer, reasonOf, type WebAnswer, webError } from './web-connection.ts';

/** How {@link openWebAudio} is to read, and whom it tells what happens. */
export interface WebAudioOptions {
  /** Frames of this format from the first byte on; left out, the bytes say what they are. */
  readonly raw?: FrameFormat | undefined;
  /** Ends it: whatever waits rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Hears what a station says that it plays, when that comes: it is heard when all is that came before. */
  readonly onTitle?: ((title: string) => void) | undefined;
  /** Hears why a connection was lost, and in how many seconds there will be another one. */
  readonly onLost?: ((reason: string, seconds: number) => void) | undefined;
  /** @internal For tests. */
  readonly clock?: Clock | undefined;
}

/** A recording, or a station, that comes from a server. */
export interface WebAudio extends AudioSource {
  /** Whether it goes on for ever. */
  readonly isStation: boolean;
  /** What the station calls itself. */
  readonly station: string | undefined;
}

/** Seconds: the pause before a lost server is asked again; each time twice as long, up to the last. */
const FIRST_PAUSE = 0.5;
const LAST_PAUSE = 30;

/** Seconds of sound that come before the first is given, so that a server may be late by as much. */
const RESERVE = 2;

/** Content types of playlists. */
const PLAYLIST_TYPE = /^(audio|application)\/((x-|vnd\.apple\.)?mpegurl|x-scpls|pls\+xml)\b/i;

/**
 * Opens what a server has at an http(s) address: a recording, which is read once, or a station, which goes on for ever. A
 * server that is lost is asked again, after a pause that grows from 0.5 s to 30 s: a station always, a recording until the
 * pause would be longer than that. Of a playlist, M3U or PLS, the first address that can be opened counts. Rejects with
 * ERR_VSND_FILE where there is no sound to be had, with ERR_VSND_INVALID_ARG for another address.
 */
export async function openWebAudio(address: string, options: WebAudioOptions = {}): Promise<WebAudio> {
  return await openFirst(address, options, []);
}

async function openFirst(
  address: string,
  options: WebAudioOptions,
  within: readonly string[],
): Promise<WebAudio> {
  const found = await openWeb(address, options);
  if (!Array.isArray(found)) return found;
  checkNesting(address, within);
  let failure: unknown;
  for (const entry of found) {
    try {
      return await openFirst(entry, options, [...within, address]);
    } catch (error) {
      options.signal?.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}

/** As {@link openWebAudio}, but of a playlist all addresses. */
export async function openWeb(address: string, options: WebAudioOptions = {}): Promise<WebAudio | string[]> {
  checkOptionNames<WebAudioOptions>('openWebAudio()', options, {
    raw: true,
    signal: true,
    onTitle: true,
    onLost: true,
    clock: true,
  });
  if (!isWebAddress(address) || !URL.canParse(address)) {
    throw invalidArgError('the address', address, 'http://..., https://...');
  }
  return await new WebSound(address, options).open();
}

/** What comes from one address, over one connection after the other. */
class WebSound {
  readonly #address: string;
  readonly #options: WebAudioOptions;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  readonly #signal: AbortSignal;
  #pause = FIRST_PAUSE;

  constructor(address: string, options: WebAudioOptions) {
    this.#address = address;
    this.#options = options;
    this.#clock = options.clock ?? new RealClock();
    const { signal } = this.#closed;
    this.#signal = options.signal ? AbortSignal.any([options.signal, signal]) : signal;
  }

  async open(): Promise<WebAudio | string[]> {
    const answer = await this.#ask().catch((error: unknown) => {
      throw this.#failure(error);
    });
    const chunks = answer.bytes[Symbol.asyncIterator]();
    const first = await chunks.next().catch((error: unknown) => {
      throw this.#failure(error);
    });
    const begun = { ...answer, bytes: startingWith(first, chunks) };
    if (isPlaylist(answer, first.value)) return readWebPlaylist(await this.#all(begun), answer.url);
    const source = await this.#decode(begun);
    return isStation(answer) ? this.#station(source, answer) : this.#recording(source);
  }

  #ask(from = 0): Promise<WebAnswer> {
    return askServer(this.#address, { clock: this.#clock, signal: this.#signal, from });
  }

  #failure(error: unknown): unknown {
    this.#signal.throwIfAborted();
    return webError(this.#address, error);
  }

  /** The whole of a playlist; of what is too long for one, too much. */
  async #all({ bytes }: WebAnswer): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const piece of bytes) {
        pieces.push(piece);
        length += piece.length;
        if (length > 1 << 20) break;
      }
    } catch (error) {
      throw this.#failure(error);
    }
    return Buffer.concat(pieces);
  }

  async #decode(answer: WebAnswer): Promise<AudioSource> {
    const { raw, onTitle = () => {} } = this.#options;
    const interval = Number(answer.headers.get('icy-metaint'));
    const bytes = isStation(answer) ? answer.bytes : this.#resumed(answer);
    const sound = interval > 0 ? withoutTitles(bytes, interval, onTitle) : bytes;
    return await openAudio(Readable.from(sound, { objectMode: false }), { raw, name: this.#address });
  }

  /** The bytes of a recording: where a connection is lost the next one goes on. */
  async *#resumed(answer: WebAnswer): AsyncGenerator<Uint8Array> {
    let { bytes } = answer;
    for (let received = 0; ; ) {
      try {
        for await (const chunk of bytes) {
          received += chunk.length;
          this.#pause = FIRST_PAUSE;
          yield chunk;
        }
        return;
      } catch (error) {
        if (answer.length === undefined || received >= answer.length) throw new Error(reasonOf(error));
        bytes = (await this.#again(error, () => this.#ask(received))).bytes;
      }
    }
  }

  /** Tries until there is another connection; a recording's server has only so long. */
  async #again<T>(lost: unknown, connect: () => Promise<T>, isForEver = false): Promise<T> {
    for (let error = lost; ; ) {
      this.#signal.throwIfAborted();
      if (this.#pause > LAST_PAUSE && !isForEver) throw new Error(reasonOf(error));
      const pause = Math.min(this.#pause, LAST_PAUSE);
      this.#pause *= 2;
      this.#options.onLost?.(reasonOf(error), pause);
      await wait(this.#clock, pause * 1e9, { signal: this.#signal });
      this.#signal.throwIfAborted();
      try {
        return await connect();
      } catch (reason) {
        error = reason;
      }
    }
  }

  #recording(source: AudioSource): WebAudio {
    return this.#sound(source, { isStation: false, station: undefined }, () => inReserve(source));
  }

  #station(source: AudioSource, { headers }: WebAnswer): WebAudio {
    const station = headers.get('icy-name') ?? headers.get('ice-name') ?? undefined;
    const about = { isStation: true, station: station || undefined };
    return this.#sound(source, about, () => this.#forEver(source));
  }

  #sound(
    source: AudioSource,
    about: Pick<WebAudio, 'isStation' | 'station'>,
    read: () => AsyncIterable<Uint8Array>,
  ): WebAudio {
    const { kind, format, rate, channels, warnings } = source;
    let isUsedUp = false;
    return {
      ...{ name: this.#address, kind, format, rate, channels, warnings, ...about },
      get frames() {
        return about.isStation ? undefined : source.frames;
      },
      isSeekable: false,
      read: (from = 0) => {
        if (from !== 0)
          throw invalidArgError('from', from, `0: ${this.#address} cannot be entered elsewhere`);
        if (isUsedUp) throw new VsndError('ERR_VSND_INVALID_STATE', `${this.#address} has been read already`);
        isUsedUp = true;
        return read();
      },
      close: async () => this.#closed.abort(),
    };
  }

  /** The frames of a station, all of the first connection's format. */
  async *#forEver(first: AudioSource): AsyncGenerator<Uint8Array> {
    let source = first;
    for (;;) {
      const begun = this.#clock.now();
      let lost: unknown;
      try {
        yield* framesAs(first, source);
        lost = new Error('it has ended');
      } catch (error) {
        lost = error;
      } finally {
        await source.close();
      }
      if (this.#clock.now() - begun > LAST_PAUSE * 1e9) this.#pause = FIRST_PAUSE;
      source = await this.#again(lost, async () => await this.#decode(await this.#ask()), true);
    }
  }
}

/** Stations say something of themselves; what has an end does not. */
function isStation({ headers, length }: WebAnswer): boolean {
  return length === undefined && [...headers.keys()].some((name) => /^(icy|ice)-/.test(name));
}

function isPlaylist({ headers, url }: WebAnswer, head: Uint8Array = new Uint8Array(0)): boolean {
  const type = headers.get('content-type') ?? '';
  if (PLAYLIST_TYPE.test(type) || isPlaylistHead(head)) return true;
  return isPlaylistName(new URL(url).pathname) && !/^(audio|application\/ogg)/i.test(type);
}

async function* startingWith<T>(first: IteratorResult<T>, rest: AsyncIterator<T>): AsyncGenerator<T> {
  try {
    for (let next = first; !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

/** The frames of `source` as `format` has them: a station may come back as another one. */
async function* framesAs(format: FrameFormat, source: AudioSource): AsyncGenerator<Uint8Array> {
  const converter = await createFrameConverter(source, format);
  try {
    for await (const piece of inReserve(source)) {
      const frames = converter.convert(piece);
      if (frames.length > 0) yield frames;
    }
    const rest = converter.end();
    if (rest.length > 0) yield rest;
  } finally {
    converter.close();
  }
}

/** Gives the first piece when the reserve has come, or no more will. */
async function* inReserve(source: AudioSource): AsyncGenerator<Uint8Array> {
  const { rate, channels, format } = source;
  const first: Uint8Array[] = [];
  let missing = RESERVE * rate * channels * (pcmFormat(format).sampleBytes ?? 1);
  try {
    for await (const piece of source.read()) {
      missing -= piece.length;
      if (missing > 0) {
        first.push(new Uint8Array(piece));
        continue;
      }
      yield* first.splice(0);
      yield piece;
    }
  } catch (error) {
    yield* first;
    throw error;
  }
  yield* first;
}
