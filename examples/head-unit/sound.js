// Sounds are bytes of one format, so that every stream of the head unit can play every one of them.
import { basename } from 'node:path';
import { createFrameConverter, openAudio } from 'vsnd/audio';

export const FORMAT = { format: 's16_le', rate: 48_000, channels: 2 };
export const FRAME_BYTES = 4;

/** Bytes of 10 ms */
const PIECE_BYTES = (FORMAT.rate / 100) * FRAME_BYTES;

const FULL_SCALE = 32_768;

/** Nothing is heard, dBFS. */
export const SILENT = [-Infinity, -Infinity];

/** Seconds that the bytes take. */
export const secondsOf = (bytes) => bytes.length / FRAME_BYTES / FORMAT.rate;

/** Pieces of 10 ms, the last one shorter. */
export function* piecesOf(bytes) {
  for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES) {
    yield bytes.subarray(offset, offset + PIECE_BYTES);
  }
}

/** The highest level of each channel in a piece, dBFS. */
export function peaksOf(piece) {
  const samples = new Int16Array(piece.buffer, piece.byteOffset, piece.length / 2);
  const peaks = [0, 0];
  for (const [index, sample] of samples.entries()) {
    const channel = index % 2;
    peaks[channel] = Math.max(peaks[channel], Math.abs(sample));
  }
  return peaks.map((peak) => 20 * Math.log10(peak / FULL_SCALE));
}

/** The bytes of two arrays of samples from -1 to 1. */
export function stereo(left, right) {
  const samples = new Int16Array(left.length * 2);
  for (const [frame, sample] of left.entries()) {
    samples[2 * frame] = (FULL_SCALE - 1) * sample;
    samples[2 * frame + 1] = (FULL_SCALE - 1) * right[frame];
  }
  return new Uint8Array(samples.buffer);
}

/** All of a recording in any format, in memory, with its file's name as the title. */
export async function readSound(path) {
  const source = await openAudio(path);
  const converter = await createFrameConverter(source, FORMAT);
  const pieces = [];
  for await (const frames of source.read()) pieces.push(converter.convert(frames));
  pieces.push(converter.end());
  converter.close();
  await source.close();
  const bytes = Buffer.concat(pieces);
  if (bytes.length === 0) throw new Error(`${path} holds no frames`);
  return { title: basename(path).replace(/\.\w+$/, ''), bytes };
}
