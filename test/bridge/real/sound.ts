import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WavFormat } from '../../../src/wav/header.ts';
import { WavWriter } from '../../../src/wav/writer.ts';
import { type PcmFormatName, pcmFormat } from '../../../src/wire/pcm-format.ts';

/** How PulseAudio's programs call a format. */
export const PULSE_NAMES: Partial<Record<PcmFormatName, string>> = {
  u8: 'u8',
  s16_le: 's16le',
  s24_le: 's24-32le',
  s32_le: 's32le',
  float_le: 'float32le',
};

/** Noise that no piece of occurs twice, and that no server changes: 24 bits fill their four bytes as they should. */
export function noise(format: PcmFormatName, channels: number, frames: number): Buffer {
  const bytes = randomBytes(frames * channels * (pcmFormat(format).sampleBytes ?? 0));
  if (format === 's24_le')
    for (let at = 3; at < bytes.length; at += 4) bytes[at] = (bytes[at - 1] ?? 0) & 0x80 ? 0xff : 0;
  if (format === 'float_le') {
    for (let at = 0; at < bytes.length; at += 4) bytes.writeFloatLE(bytes.readInt32LE(at) / 2 ** 31, at);
  }
  return bytes;
}

export function writeRaw(directory: string, name: string, bytes: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

export function writeWav(directory: string, name: string, format: WavFormat, bytes: Uint8Array): string {
  const path = join(directory, name);
  const writer = new WavWriter(path, format);
  writer.write(bytes);
  writer.close();
  return path;
}

/** How often `part` occurs in `whole`. */
export function occurrences(whole: Buffer, part: Uint8Array): number {
  let count = 0;
  for (let at = whole.indexOf(part); at !== -1; at = whole.indexOf(part, at + 1)) count++;
  return count;
}
