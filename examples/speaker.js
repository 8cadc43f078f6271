// The sine wave of npm speaker's README, with one import changed:
//
//   VSND_EMULATE=1 node examples/speaker.js
import { Readable } from 'node:stream';
import Speaker from 'vsnd/speaker';

const FORMAT = { channels: 2, bitDepth: 16, sampleRate: 44_100 };
const SECONDS = 2;
const HZ = 440;

let frames = 0;

const sine = new Readable({
  read(size) {
    const count = Math.min(Math.floor(size / 4), SECONDS * FORMAT.sampleRate - frames);
    const bytes = Buffer.alloc(count * 4);
    for (let frame = 0; frame < count; frame++) {
      const phase = (2 * Math.PI * HZ * (frames + frame)) / FORMAT.sampleRate;
      const sample = Math.round(16_000 * Math.sin(phase));
      bytes.writeInt16LE(sample, 4 * frame);
      bytes.writeInt16LE(sample, 4 * frame + 2);
    }
    frames += count;
    this.push(count === 0 ? null : bytes);
  },
});

const speaker = new Speaker(FORMAT);
speaker.on('flush', () => console.log(`played ${frames} frames`)); // the backend has played the last one
sine.pipe(speaker);
