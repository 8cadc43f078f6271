import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { piecesOf, SILENT } from './pieces.js';
import { Timeline } from './timeline.js';

/** A voice on a PCM device of its own: a stream for each time that it speaks, and the music ducked meanwhile. */
export class Prompt {
  #card;
  #device;
  #sound;
  #music;
  #out;
  #timeline;
  #underruns = 0;

  constructor(card, device, sound, music) {
    this.#card = card;
    this.#device = device;
    this.#sound = sound;
    this.#music = music;
  }

  /** undefined before the first prompt. */
  get stream() {
    return this.#out;
  }

  /** In all prompts so far */
  get underruns() {
    return this.#underruns;
  }

  get isSpeaking() {
    return this.#out !== undefined && !this.#out.closed;
  }

  /** dBFS, at this moment */
  get peaks() {
    return (this.isSpeaking && this.#timeline.at(this.#out.clock.frames)) || SILENT;
  }

  /** Resolves when the last word has been heard. One that is being spoken is not begun anew. */
  async speak() {
    if (this.isSpeaking) return;
    const { format, rate, channels } = this.#sound;
    const pieces = [...piecesOf(this.#sound)].map(({ piece }) => piece);
    this.#out = this.#card.createPlaybackStream({ format, rate, channels, device: this.#device });
    this.#out.on('underrun', () => this.#underruns++);
    this.#timeline = Timeline.of(this.#sound);
    this.#music.setDucked(true);
    try {
      await pipeline(Readable.from(pieces), this.#out);
    } finally {
      this.#music.setDucked(false);
    }
  }
}
