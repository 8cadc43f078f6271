import { FRAME_BYTES, peaksOf, piecesOf } from './sound.js';

/** What was written to a stream, by frame, until it is heard: a person shall see what they hear. */
export class Timeline {
  #entries = [];
  #now;

  /** The levels of a sound that is played once, as it is. */
  static of(bytes) {
    const timeline = new Timeline();
    let frame = 0;
    for (const piece of piecesOf(bytes)) {
      timeline.add(frame, peaksOf(piece));
      frame += piece.length / FRAME_BYTES;
    }
    return timeline;
  }

  /** From frame `frame` on, `what` is heard. */
  add(frame, what) {
    this.#entries.push({ frame, what });
  }

  /** What is heard at frame `frame`; undefined before the first. Asked for in order. */
  at(frame) {
    while (this.#entries.length > 0 && this.#entries[0].frame <= frame)
      this.#now = this.#entries.shift().what;
    return this.#now;
  }
}
