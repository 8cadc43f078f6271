import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FORMAT, piecesOf, SILENT } from './sound.js';
import { Timeline } from './timeline.js';

/** A voice on a PCM device of its own: a stream for each time that it speaks, and the music ducked meanwhile. */
export class Prompt {
  #card;
  #device;
  #bytes;
  #music;
  #out;
  #timeline;
  #underruns = 0;

  constructor(card, device, bytes, music) {
    this.#card = card;
    this.#device = device;
    this.#bytes = bytes;
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
    this.#out = this.#card.createPlaybackStream({ ...FORMAT, device: this.#device });
    this.#out.on('underrun', () => this.#underruns++);
    this.#timeline = Timeline.of(this.#bytes);
    this.#music.setDucked(true);
    try {
      await pipeline(Readable.from(piecesOf(this.#bytes)), this.#out);
    } finally {
      this.#music.setDucked(false);
    }
  }
}
