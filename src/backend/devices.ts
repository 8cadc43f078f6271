import type { Clock } from '../clock.ts';
import { WAV_FORMATS } from '../wav/header.ts';
import { WavWriter } from '../wav/writer.ts';
import { PCM_FORMATS } from '../wire/pcm-format.ts';
import { ClockedVoice } from './clocked-voice.ts';
import type { PcmDevice } from './pcm-device.ts';

/** A device that plays into nothing, at the clock's pace. */
export function nullDevice(clock: Clock): PcmDevice {
  return {
    description: 'null: a clock that keeps nothing',
    formats: PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined).map(({ name }) => name),
    openPlayback: async (params, feed) => new ClockedVoice(params, feed, clock, { write() {}, close() {} }),
  };
}

/**
 * A device that keeps in WAV files what it plays, at the clock's pace, from each OPEN to its CLOSE: `path`, then
 * `path` with -2, -3 and so on before its ending. Where it ran dry the file has no gap.
 */
export function wavDevice(path: string, clock: Clock): PcmDevice {
  let takes = 0;
  return {
    description: `WAV file ${path}`,
    formats: WAV_FORMATS,
    openPlayback: async (params, feed) => {
      const file = new WavWriter(numbered(path, takes + 1), params);
      takes += 1;
      return new ClockedVoice(params, feed, clock, file);
    },
  };
}

/** A device that keeps in memory what it plays. */
export interface MemoryDevice extends PcmDevice {
  /** What was played from the `take`th OPEN to its CLOSE, counted from 0; by default the last one. */
  heard(take?: number): Uint8Array;
}

/** For tests: keeps what it plays, at the clock's pace. Where it ran dry there is no gap. */
export function memoryDevice(clock: Clock): MemoryDevice {
  const takes: Uint8Array[][] = [];
  return {
    ...nullDevice(clock),
    description: 'memory: keeps what it plays',
    heard: (take = takes.length - 1) => Buffer.concat(takes[take] ?? []),
    openPlayback: async (params, feed) => {
      const pieces: Uint8Array[] = [];
      takes.push(pieces);
      const write = (octets: Uint8Array) => void pieces.push(octets.slice());
      return new ClockedVoice(params, feed, clock, { write, close() {} });
    },
  };
}

function numbered(path: string, take: number): string {
  return take === 1 ? path : path.replace(/(\.[^./]*)?$/, `-${take}$1`);
}
