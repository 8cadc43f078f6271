import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach } from 'vitest';
import { openAudio } from '../../src/audio/open-audio.ts';

/** A directory of its own for each test of the file that calls this. */
export function useDirectory(): { path(name: string): string; put(name: string, bytes: Uint8Array): string } {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'vsnd-test-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const path = (name: string): string => join(directory, name);
  return {
    path,
    put(name, bytes) {
      writeFileSync(path(name), bytes);
      return path(name);
    },
  };
}

/** Everything that a WAV file says and holds. */
export async function readAll(path: string) {
  const source = await openAudio(path);
  try {
    const bytes = await buffer(source.read());
    const { format, rate, channels, frames = 0 } = source;
    return { format, rate, channels, frames, truncated: source.warnings.includes('ends early'), bytes };
  } finally {
    await source.close();
  }
}

export function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

export function u16(...values: number[]): Uint8Array {
  return Buffer.concat(values.map((value) => Uint8Array.of(value & 0xff, value >>> 8)));
}

export function u32(...values: number[]): Uint8Array {
  return Buffer.concat(values.map((value) => u16(value & 0xffff, value >>> 16)));
}

/** A chunk with its padding; `size` lies about its length. */
export function chunk(id: string, body: Uint8Array, size = body.length): Uint8Array {
  return Buffer.concat([ascii(id), u32(size), body, new Uint8Array(body.length & 1)]);
}

export function riff(...chunks: Uint8Array[]): Uint8Array {
  const body = Buffer.concat([ascii('WAVE'), ...chunks]);
  return Buffer.concat([ascii('RIFF'), u32(body.length), body]);
}

/** A fmt chunk in the plain form; 16 bit stereo at 48 kHz unless told. */
export function fmt({ tag = 1, channels = 2, rate = 48_000, bits = 16, block = 0 } = {}): Uint8Array {
  const blockBytes = block || (channels * bits) / 8;
  const head = [u16(tag, channels), u32(rate, rate * blockBytes), u16(blockBytes, bits)];
  return chunk('fmt ', Buffer.concat(head));
}

/** A fmt chunk in the extensible form. */
export function extensible(tag: number, channels: number, rate: number, bits: number, validBits = bits) {
  const block = (channels * bits) / 8;
  const guid = Buffer.concat([u16(tag), Buffer.from('000000001000800000aa00389b71', 'hex')]);
  const head = [u16(0xfffe, channels), u32(rate, rate * block), u16(block, bits, 22, validBits), u32(3)];
  return chunk('fmt ', Buffer.concat([...head, guid]));
}
