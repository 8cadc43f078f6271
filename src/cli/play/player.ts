import type { AudioSource, FrameFormat } from '../../audio/audio-source.ts';
import { createFrameConverter, type FrameConverter } from '../../audio/frame-converter.ts';
import { chooseTarget } from '../../audio/target-format.ts';
import { VsndError } from '../../errors.ts';
import type { StreamLimits } from '../../pcm/hw-params.ts';
import { pcmFormat } from '../../wire/pcm-format.ts';
import { Interruptible } from './interruptible.ts';
import type { Playlist } from './playlist.ts';
import { type Heard, Timeline } from './timeline.ts';
import type { Voice } from './voice.ts';

export interface PlayerOptions {
  readonly voice: Voice;
  /** What the voice's card can be set to. */
  readonly limits: StreamLimits;
  readonly playlist: Playlist;
  /** How often all of it is played. */
  readonly rounds: number;
  /** A recording begins to be heard, or goes on elsewhere. */
  readonly onHeard: (heard: Heard) => void;
}

/** Where to play from: a recording of the list, and a frame of it. */
interface Place {
  readonly index: number;
  readonly frame: number;
}

/** Frames that are converted and written at a time: the event loop is never held for long. */
const PIECE_FRAMES = 8192;

/** Somebody wants to go elsewhere. */
class Interruption extends Error {}

/**
 * Plays a list of recordings without a gap: the voice's stream goes on from one to the next as long as the card plays them
 * alike, and so does the converter in front of it.
 */
export class Player {
  readonly #options: PlayerOptions;
  readonly #timeline: Timeline;
  #roundsLeft: number;
  /** Nothing has been written since this round began: another one would be like it. */
  #isRoundSilent = true;
  #converter: FrameConverter | undefined;
  /** Where the converter's first frame is heard, and the frames that it has taken. */
  #converterStart = 0;
  #converterFrames = 0;
  /** Where somebody wants to go, until it is heard from there; 'stop': nowhere. */
  #wanted: Place | 'stop' | undefined;
  /** Interrupted when somebody wants to go elsewhere, and when the voice fails. */
  readonly #patience = new Interruptible();
  /** Whether the recording that is read can be entered elsewhere. */
  #isSeekable = false;
  /** Resolves when the voice takes more. */
  #drained: Promise<void> = Promise.resolve();

  constructor(options: PlayerOptions) {
    this.#options = options;
    this.#roundsLeft = options.rounds;
    this.#timeline = new Timeline(options.onHeard);
    options.voice.failed.catch((error: Error) => this.#patience.interrupt(error));
  }

  /** What is heard now; undefined before there is anything. */
  get heard(): Heard | undefined {
    return this.#timeline.at(this.#options.voice.position);
  }

  /** Frames of the card that were heard of each recording, by its number. */
  get frames(): ReadonlyMap<number, number> {
    this.#timeline.at(this.#options.voice.position);
    return this.#timeline.frames;
  }

  /** Resolves when the last frame of the last recording has been heard, or somebody has stopped it. `first`: to begin with. */
  async play(first: number): Promise<void> {
    const { voice } = this.#options;
    let place: Place | undefined = { index: first, frame: 0 };
    try {
      while (place) place = await this.#playFrom(place);
    } finally {
      await voice.stop();
      this.#timeline.at(voice.position);
      this.#converter?.close();
    }
  }

  /** Stops at once. */
  stop(): void {
    this.#goTo('stop');
  }

  /** Goes on so many seconds from here; behind the end, with the next recording. False where the recording has only one way. */
  seek(seconds: number): boolean {
    const { heard } = this;
    if (!heard?.source.isSeekable) return false;
    const { source, index } = heard;
    const here = this.#destination ?? heard;
    const frame = Math.max(0, Math.round((here.index === index ? here.frame : 0) + seconds * source.rate));
    if (frame < (source.frames ?? Number.POSITIVE_INFINITY)) this.#goTo({ index, frame });
    else this.skip(1);
    return true;
  }

  /** Goes on with another recording, so many further in the list. */
  skip(count: number): void {
    const { index } = this.#destination ?? this.heard ?? { index: 0 };
    this.#goTo({ index: Math.max(0, index + count), frame: 0 });
  }

  /** Goes on from here, through another stream if the voice needs one. */
  restart(): void {
    const { heard } = this;
    if (heard) this.#goTo({ index: heard.index, frame: heard.source.isSeekable ? heard.frame : 0 });
  }

  get #destination(): Place | undefined {
    return this.#wanted === 'stop' ? undefined : this.#wanted;
  }

  #goTo(place: Place | 'stop'): void {
    if (this.#wanted !== 'stop') this.#wanted = place;
    this.#patience.interrupt(new Interruption());
  }

  #arrive(place: Place): void {
    if (this.#wanted === place) this.#wanted = undefined;
  }

  /** Plays on to the end of the list. Resolves with where somebody wants to go instead. */
  async #playFrom(place: Place): Promise<Place | undefined> {
    const { playlist, voice } = this.#options;
    let here = place;
    try {
      for (let next = this.#enter(here); next; next = this.#enter({ index: here.index + 1, frame: 0 })) {
        here = next;
        await this.#playRecording(here);
        this.#arrive(here);
      }
      await this.#endConverter();
      await this.#patience.wait(voice.playOut());
      return undefined;
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
    }
    if (this.#wanted === 'stop') return undefined;
    this.#patience.clear();
    const next = this.#destination;
    const isEntered = next?.index === here.index && this.#isSeekable;
    if (!isEntered) await playlist.leave(here.index);
    await voice.drop();
    this.#drained = Promise.resolve();
    this.#timeline.cut(voice.position);
    this.#beginConverter();
    return next;
  }

  /** The place, or behind the end of the list its beginning; undefined where no round is left. */
  #enter(place: Place): Place | undefined {
    if (place.index < this.#options.playlist.length) return place;
    if (this.#roundsLeft <= 1 || this.#isRoundSilent) return undefined;
    this.#roundsLeft -= 1;
    this.#isRoundSilent = true;
    const start = { index: 0, frame: 0 };
    if (this.#wanted === place) this.#wanted = start;
    return start;
  }

  async #playRecording(place: Place): Promise<void> {
    const { index, frame } = place;
    const { playlist } = this.#options;
    const source = await this.#patience.wait(playlist.open(index));
    if (source === undefined) return;
    const converter = await this.#connect(index, source);
    if (converter === undefined) return;
    const said = source.warnings.length;
    for (const warning of source.warnings) playlist.remark(`warning: ${source.name} ${warning}`);
    this.#timeline.begin(this.#nextStart(converter), { index, source, target: converter.to, frame });
    this.#arrive(place);
    this.#isSeekable = source.isSeekable;
    const isLast = index + 1 >= playlist.length;
    playlist.prepare(isLast && this.#roundsLeft > 1 ? 0 : index + 1);
    await this.#feed(index, source, frame, converter);
    for (const warning of source.warnings.slice(said)) playlist.remark(`warning: ${source.name} ${warning}`);
    await playlist.leave(index);
  }

  /** The converter of `source`, with the voice behind it. Undefined, and that has been said, where there is none. */
  async #connect(index: number, source: AudioSource): Promise<FrameConverter | undefined> {
    const { voice, limits, playlist } = this.#options;
    if (this.#converter === undefined || !isSame(this.#converter.from, source)) {
      await this.#endConverter();
      try {
        this.#converter = await createFrameConverter(source, chooseTarget(source, limits));
      } catch (error) {
        const { code, message } = error as VsndError;
        playlist.fail(index, new VsndError(code, `${source.name}: ${message}`, { cause: error }));
        return undefined;
      }
      this.#beginConverter();
    }
    const converter = this.#converter;
    if (!voice.plays(converter.to)) {
      await this.#patience.wait(voice.playOut());
      voice.open(converter.to);
      this.#beginConverter();
    }
    return converter;
  }

  /** What comes out of the converter first is heard when all has been that was written before. */
  #beginConverter(): void {
    this.#converter?.reset();
    this.#converterStart = this.#options.voice.written;
    this.#converterFrames = 0;
  }

  async #endConverter(): Promise<void> {
    const converter = this.#converter;
    if (converter === undefined) return;
    await this.#write(converter.end());
    this.#converter = undefined;
    converter.close();
  }

  /** The position at which the next frame that goes into the converter is heard. */
  #nextStart({ from, to }: FrameConverter): number {
    return this.#converterStart + Math.round((this.#converterFrames * to.rate) / from.rate);
  }

  /** Writes a recording from `frame` on, as fast as the voice takes it, one piece ahead. */
  async #feed(index: number, source: AudioSource, frame: number, converter: FrameConverter): Promise<void> {
    const frameBytes = (pcmFormat(source.format).sampleBytes ?? 1) * source.channels;
    const pieceBytes = PIECE_FRAMES * frameBytes;
    const reading = source.read(frame)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const frames = await this.#patience.wait(this.#next(index, reading));
        if (frames === undefined) return;
        for (let start = 0; start < frames.length; start += pieceBytes) {
          const piece = frames.subarray(start, start + pieceBytes);
          this.#converterFrames += piece.length / frameBytes;
          await this.#write(converter.convert(piece));
        }
      }
    } finally {
      const left = reading.return?.().catch(() => {});
      if (source.isSeekable) await left; // it may be read again; of others the next bytes may never come
    }
  }

  /** Undefined at the end, and where there is no going on, which has been said then. */
  async #next(index: number, reading: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
    try {
      const { value, done } = await reading.next();
      return done ? undefined : value;
    } catch (error) {
      if (this.#wanted !== 'stop') this.#options.playlist.fail(index, error);
      return undefined;
    }
  }

  async #write(frames: Uint8Array): Promise<void> {
    await this.#patience.wait(this.#drained);
    this.#isRoundSilent &&= frames.length === 0;
    this.#drained = this.#options.voice.write(frames);
    this.#drained.catch(() => {}); // the voice's failure says it
  }
}

function isSame(a: FrameFormat, b: FrameFormat): boolean {
  return a.format === b.format && a.rate === b.rate && a.channels === b.channels;
}
