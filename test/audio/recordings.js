/** What the fixtures were made of, computed anew wherever it is needed: signals as integers, channel after channel in a frame. */

/** Full scale in both directions, then noise: no decoder can be lucky with these. */
function noise(bits, count) {
  const samples = new Int32Array(count);
  let state = 1;
  for (let at = 0; at < count; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0; // Numerical Recipes
    samples[at] = state >> (32 - bits);
  }
  samples.set([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0, -1]);
  return samples;
}

/** A sweep from 100 Hz to 4 kHz in each channel, the second one backwards: it is like itself at one place only. */
function sweep(rate, channels, frames) {
  const samples = new Int32Array(frames * channels);
  for (let frame = 0; frame < frames; frame++) {
    const fade = Math.min(1, frame / 500, (frames - 1 - frame) / 500);
    for (let channel = 0; channel < channels; channel++) {
      const time = (channel === 0 ? frame : frames - 1 - frame) / rate;
      const length = frames / rate;
      const phase = 2 * Math.PI * (100 * time + ((4000 - 100) / length / 2) * time * time);
      samples[frame * channels + channel] = Math.round(10_000 * fade * Math.sin(phase));
    }
  }
  return samples;
}

/** Hz, by the channels of WAV's 5.1: left, right, centre, LFE, and two behind. */
export const TONES = [300, 500, 700, 60, 900, 1100];

function tones(rate, frames) {
  return Int32Array.from({ length: frames * TONES.length }, (_, at) => {
    const [frame, tone] = [Math.floor(at / TONES.length), TONES[at % TONES.length]];
    return Math.round(8000 * Math.sin((2 * Math.PI * tone * frame) / rate));
  });
}

const signal = (bits, rate, channels, samples) => ({
  bits,
  rate,
  channels,
  frames: samples.length / channels,
  samples,
});

export const SIGNALS = {
  noise8: signal(8, 8000, 1, noise(8, 3000)),
  noise16: signal(16, 44_100, 2, noise(16, 12_000)),
  noise20: signal(20, 96_000, 1, noise(20, 3000)),
  noise24: signal(24, 48_000, 2, noise(24, 12_000)),
  sweep44: signal(16, 44_100, 2, sweep(44_100, 2, 3 * 44_100)),
  sweep48: signal(16, 48_000, 2, sweep(48_000, 2, 3 * 48_000)),
  sweep22: signal(16, 22_050, 1, sweep(22_050, 1, 22_050)),
  tones: signal(16, 48_000, 6, tones(48_000, 24_000)),
};

/**
 * A WAV file of the signal, in the extensible form: it alone says how many bits of a sample count. Those stand at the top,
 * and 8 bits are unsigned.
 */
export function wavOf({ bits, rate, channels, samples }) {
  const bytes = Math.ceil(bits / 8);
  const data = Buffer.alloc(samples.length * bytes);
  samples.forEach((sample, at) => {
    if (bytes === 1) data.writeUInt8(sample + 128, at);
    else data.writeIntLE(sample * 2 ** (bytes * 8 - bits), at * bytes, bytes);
  });
  const head = Buffer.alloc(68);
  head.write('RIFF');
  head.writeUInt32LE(head.length - 8 + data.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(40, 16);
  head.writeUInt16LE(0xfffe, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * channels * bytes, 28);
  head.writeUInt16LE(channels * bytes, 32);
  head.writeUInt16LE(bytes * 8, 34);
  head.writeUInt16LE(22, 36);
  head.writeUInt16LE(bits, 38);
  head.writeUInt32LE({ 1: 4, 2: 3, 6: 0x3f }[channels], 40);
  head.write('0100000000001000800000aa00389b71', 44, 'hex');
  head.write('data', 60);
  head.writeUInt32LE(data.length, 64);
  return Buffer.concat([head, data]);
}
