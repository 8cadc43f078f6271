import { expect, test } from 'vitest';
import { crc8, crc16 } from '../../src/audio/crc.ts';
import { useDirectory } from '../wav/files.ts';
import { contents } from './contents.ts';

const files = useDirectory();

const checksum = (bytes: Buffer): Buffer => {
  const crc = bytes.reduce(crc16, 0);
  return Buffer.of(crc >> 8, crc & 0xff);
};

const BLOCK_FRAMES = 192;

/** STREAMINFO of mono, 16 bits, 44100 Hz. */
function streamInfo(frames: number): Buffer {
  const block = Buffer.alloc(34);
  block.writeUInt16BE(BLOCK_FRAMES, 0);
  block.writeUInt16BE(BLOCK_FRAMES, 2);
  block.writeUInt32BE(((44_100 << 12) | (15 << 4)) >>> 0, 10);
  block.writeUInt32BE(frames, 14);
  return Buffer.concat([Buffer.from('fLaC'), Buffer.of(0x80, 0, 0, block.length), block]);
}

/** A frame whose samples are not compressed: what they are made of can be chosen byte by byte. */
function verbatimFrame(number: number, samples: (before: Buffer) => Buffer): Buffer {
  const start = Buffer.of(0xff, 0xf8, 0x19, 0x08, number);
  const header = Buffer.concat([start, Buffer.of(crc8(start)), Buffer.of(0x02)]);
  const frame = Buffer.concat([header, samples(header)]);
  return Buffer.concat([frame, checksum(frame)]);
}

test.each([0xf8, 0xf9])(
  'a frame does not end where its bytes only look like an end: ff %i',
  async (second) => {
    const samples = Buffer.alloc(BLOCK_FRAMES * 2, 0x11);
    const frames = [0, 1, 2].map((number) =>
      verbatimFrame(number, (header) => {
        checksum(Buffer.concat([header, samples.subarray(0, 20)])).copy(samples, 20);
        samples.set([0xff, second], 22);
        return Buffer.from(samples);
      }),
    );
    const path = files.put('quiet.flac', Buffer.concat([streamInfo(3 * BLOCK_FRAMES), ...frames]));
    const expected = Buffer.concat(frames.map((frame) => frame.subarray(7, 7 + samples.length))).swap16();
    const { bytes, warnings } = await contents(path);
    expect(bytes.equals(expected)).toBe(true);
    expect(warnings).toEqual([]);
  },
);
