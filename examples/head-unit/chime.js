import { FORMAT, FRAME_BYTES, SILENT, stereo } from './sound.js';
import { Timeline } from './timeline.js';

const { rate: RATE } = FORMAT;

/** Two strokes of a bell: when, s, and what, Hz. */
const SECONDS = 0.7;
const STROKES = [
  [0, 987.77],
  [0.16, 1318.51],
];

/**
 * A warning with the lowest latency: its stream is open and empty before anybody presses the button, so nothing is in the
 * way of the first frame. Its buffer holds all of the chime: once it rings, nothing that this program does can interrupt it.
 */
export class Chime {
  #card;
  #device;
  #bytes = makeChime();
  #out;
  #timeline;
  #isRinging = false;
  #latency;
  #underruns = 0;

  constructor(card, device) {
    this.#card = card;
    this.#device = device;
    this.#arm();
  }

  get stream() {
    return this.#out;
  }

  /** In all chimes so far */
  get underruns() {
    return this.#underruns;
  }

  get isRinging() {
    return this.#isRinging;
  }

  /** dBFS, at this moment */
  get peaks() {
    return (this.#isRinging && this.#timeline.at(this.#out.clock.frames)) || SILENT;
  }

  /** From ring() to the first frame played, ms, and by how much that may be wrong; undefined before it is known. */
  get latency() {
    return this.#latency;
  }

  /** Resolves when the chime has been heard. One that rings is not begun anew. */
  async ring() {
    const pressed = performance.now();
    if (this.#isRinging) return;
    this.#isRinging = true;
    this.#latency = undefined;
    const out = this.#out;
    out.on('position', () => this.#measure(out, pressed));
    out.end(this.#bytes);
    await new Promise((resolve, reject) => out.once('close', resolve).once('error', reject));
    this.#isRinging = false;
    this.#arm();
  }

  /** The stream's clock says how long ago the first frame was played. The best of its readings counts. */
  #measure(out, pressed) {
    if (out.latency === 0) return; // all has been played: the clock stands
    const { frames, errorFrames } = out.clock;
    const error = (errorFrames / RATE) * 1000;
    if (this.#latency && this.#latency.error <= error) return;
    const firstFrame = performance.now() - (frames / RATE) * 1000;
    this.#latency = { milliseconds: firstFrame - pressed, error };
  }

  #arm() {
    this.#out = this.#card.createPlaybackStream({
      ...FORMAT,
      device: this.#device,
      bufferFrames: this.#bytes.length / FRAME_BYTES,
      periodFrames: RATE / 200, // a report every 5 ms: of more of them the clock is the better
      startThresholdFrames: 1,
    });
    this.#out.on('underrun', () => this.#underruns++);
    this.#timeline = Timeline.of(this.#bytes);
  }
}

function makeChime() {
  const mono = new Float32Array(RATE * SECONDS);
  for (const [start, hz] of STROKES) {
    for (let frame = Math.round(start * RATE); frame < mono.length; frame++) {
      const time = frame / RATE - start;
      const envelope = Math.min(1, time / 0.001) * Math.exp(-time / 0.14) * (1 - frame / mono.length);
      const phase = 2 * Math.PI * hz * time;
      mono[frame] += 0.34 * envelope * (Math.sin(phase) + 0.4 * Math.sin(2.76 * phase));
    }
  }
  return stereo(mono, mono);
}
