import { FORMAT, FRAME_BYTES, peaksOf, piecesOf, SILENT, secondsOf } from './sound.js';
import { Timeline } from './timeline.js';

/** dB: by so much the music is softer while a voice speaks; and dB a piece of 10 ms: on the way there, and back. */
const DUCKED = -15;
const DUCKING = 0.6;
const RETURNING = 0.3;

/** dB: so far the music goes down when its source changes; and dB a piece, down and up again. */
const CHANGED = -40;
const CHANGING = 4;

/**
 * Music without end, through one stream, in which the sources take turns: a change leaves no gap. A fade is one step of
 * the software volume for each piece, and each step is a ramp of 10 ms, which is a piece: together they are one smooth
 * ramp. It is heard a buffer's time later, 200 ms: while a prompt's first tones sound.
 */
export class Music {
  #out;
  #sources;
  /** The source that is played, and the one that shall be. */
  #current = 0;
  #wanted = 0;
  #volume = -9;
  #isDucked = false;
  #isPaused = false;
  /** dB: where the fade is. */
  #fade = 0;
  #framesWritten = 0;
  #timeline = new Timeline();

  /** `sources`: sounds, each with a title. Begins to play. */
  constructor(card, device, sources) {
    this.#sources = sources;
    this.#out = card.createPlaybackStream({ ...FORMAT, device, softwareVolume: true });
    this.#out.on('error', () => {}); // the write that is under way rejects with it
    /** Rejects when the stream fails or is destroyed. */
    this.finished = this.#play();
  }

  get stream() {
    return this.#out;
  }

  /** dBFS, at this moment */
  get peaks() {
    return this.#isPaused ? SILENT : this.#heard.peaks;
  }

  /** What the buttons have set, and what of it is heard at this moment. */
  get status() {
    const { source, seconds, fade } = this.#heard;
    return {
      titles: this.#sources.map(({ title }) => title),
      wanted: this.#wanted,
      source,
      seconds,
      duration: secondsOf(this.#sources[source].bytes),
      fade,
      volume: this.#volume,
      isMuted: this.#isMuted,
      isPaused: this.#isPaused,
    };
  }

  /** dB */
  setVolume(volume) {
    this.#volume = volume;
  }

  setMuted(isMuted) {
    return isMuted ? this.#out.mute() : this.#out.unmute();
  }

  /** The backend lets the sound stand still: that is heard at once. */
  async setPaused(isPaused) {
    await this.#out.trigger(isPaused ? 'pause' : 'resume');
    this.#isPaused = isPaused;
  }

  select(source) {
    this.#wanted = source;
  }

  /** Makes room for a voice, or takes the room back. */
  setDucked(isDucked) {
    this.#isDucked = isDucked;
  }

  get #isMuted() {
    return this.#out.muted.every(Boolean);
  }

  get #heard() {
    const nothing = { source: this.#current, seconds: 0, fade: 0, peaks: SILENT };
    return this.#timeline.at(this.#out.clock.frames) ?? nothing;
  }

  async #play() {
    for (;;) {
      const source = this.#current;
      let seconds = 0;
      for (const piece of piecesOf(this.#sources[source].bytes)) {
        this.#fade = this.#nextFade();
        const peaks = await this.#write(piece);
        this.#timeline.add(this.#framesWritten, { source, seconds, fade: this.#fade, peaks });
        this.#framesWritten += piece.length / FRAME_BYTES;
        seconds += secondsOf(piece);
        if (this.#isFadedOut) break;
      }
      if (this.#isFadedOut) this.#current = this.#wanted;
    }
  }

  /** Resolves when there was room for the piece, so that the next one's volume is set as late as can be. */
  async #write(piece) {
    const volume = this.#volume + this.#fade;
    await this.#out.setVolume(volume);
    const peaks = this.#isMuted ? SILENT : peaksOf(piece).map((peak) => peak + volume);
    await new Promise((resolve, reject) => {
      this.#out.write(piece, (error) => (error ? reject(error) : resolve()));
    });
    return peaks;
  }

  get #isFadedOut() {
    return this.#current !== this.#wanted && this.#fade === CHANGED;
  }

  #nextFade() {
    if (this.#current !== this.#wanted) return Math.max(CHANGED, this.#fade - CHANGING);
    const target = this.#isDucked ? DUCKED : 0;
    if (this.#fade > target) return Math.max(target, this.#fade - DUCKING);
    return Math.min(target, this.#fade + (this.#fade < DUCKED ? CHANGING : RETURNING));
  }
}
