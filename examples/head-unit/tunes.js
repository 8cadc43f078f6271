// Music to have something to play: two loops, computed. The end of a note rings on where the loop begins again.
import { FORMAT, stereo } from './sound.js';

const { rate: RATE } = FORMAT;

/** Each chord has four beats: a bass note, then the notes of which the arpeggio is made. MIDI's numbers. */
const TUNES = [
  {
    title: 'Night Drive',
    beatsPerMinute: 84,
    chords: [
      [45, 60, 64, 67, 71],
      [41, 57, 60, 64, 67],
      [48, 60, 64, 67, 74],
      [43, 59, 62, 67, 69],
    ],
  },
  {
    title: 'Coast Road',
    beatsPerMinute: 108,
    chords: [
      [50, 62, 66, 69, 73],
      [47, 62, 66, 71, 74],
      [43, 59, 62, 66, 71],
      [45, 61, 64, 69, 71],
    ],
  },
];

/** Which note of its chord each eighth plays. */
const ARPEGGIO = [0, 1, 2, 3, 2, 1, 2, 3];

/** Each with a title. */
export function makeTunes() {
  return TUNES.map(({ title, beatsPerMinute, chords }) => ({
    title,
    bytes: render(beatsPerMinute, chords),
  }));
}

function render(beatsPerMinute, chords) {
  const beat = Math.round((RATE * 60) / beatsPerMinute); // frames
  const frames = chords.length * 4 * beat;
  const loop = { left: new Float32Array(frames), right: new Float32Array(frames) };
  for (const [bar, [bass, ...notes]] of chords.entries()) {
    const start = bar * 4 * beat;
    pluck(loop, { note: bass, start, seconds: 3.2, level: 0.26, pan: 0 });
    pluck(loop, { note: bass + 12, start: start + 2.5 * beat, seconds: 1.2, level: 0.12, pan: 0 });
    for (const [index, note] of notes.entries()) {
      pluck(loop, { note, start, seconds: 4.5, level: 0.06, pan: index / 2 - 0.75, attack: 0.4 });
    }
    for (const [eighth, choice] of ARPEGGIO.entries()) {
      const level = eighth % 4 === 0 ? 0.18 : 0.13;
      const pan = Math.sin(bar * 8 + eighth) * 0.7;
      const note = notes[choice] + 12;
      pluck(loop, { note, start: start + (eighth * beat) / 2, seconds: 1.4, level, pan });
    }
  }
  return stereo(loop.left.map(Math.tanh), loop.right.map(Math.tanh));
}

/** Adds a fading tone, a little richer than a sine, at `pan` from -1, left, to 1. */
function pluck({ left, right }, { note, start, seconds, level, pan, attack = 0.006 }) {
  const hz = 440 * 2 ** ((note - 69) / 12);
  for (let frame = 0; frame < seconds * RATE; frame++) {
    const time = frame / RATE;
    const sine = Math.sin(2 * Math.PI * hz * time);
    const envelope = Math.min(1, time / attack) * (1 - time / seconds) ** 3;
    const tone = sine + 0.4 * sine * sine * sine;
    const index = Math.round(start + frame) % left.length;
    left[index] += level * envelope * tone * (1 - pan * 0.6);
    right[index] += level * envelope * tone * (1 + pan * 0.6);
  }
}
