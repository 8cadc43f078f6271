import type { Clock } from '../clock.ts';
import { WAV_FORMATS } from '../wav/header.ts';
import { WavWriter } from '../wav/writer.ts';
import { PCM_FORMATS, type PcmFormatName, pcmFormat } from '../wire/pcm-format.ts';
import { ClockedCapture, type FrameSource } from './clocked-capture.ts';
import { ClockedVoice, type FrameSink } from './clocked-voice.ts';
import type { CaptureDevice, PlaybackDevice } from './pcm-device.ts';
import { WavTakes } from './wav-takes.ts';

/** Those whose frames a clock can count. */
const COUNTABLE = PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined).map(({ name }) => name);

/** A device that plays into nothing, at the clock's pace. */
export function nullDevice(clock: Clock): PlaybackDevice {
  return {
    description: 'null: a clock that keeps nothing',
    formats: COUNTABLE,
    openPlayback: async (params, feed) => new ClockedVoice(params, feed, clock, { write() {}, close() {} }),
  };
}

/** A device that captures silence, at the clock's pace. */
export function silenceDevice(clock: Clock): CaptureDevice {
  return {
    description: 'silence',
    formats: COUNTABLE,
    openCapture: async (params, feed) => new ClockedCapture(params, feed, clock, silence(params.format)),
  };
}

/** Silent frames of a format, for ever. */
export function silence(format: PcmFormatName): FrameSource {
  const { silence: sample } = pcmFormat(format);
  return {
    fill: (frames) => {
      if (frames.length === 0) return;
      frames.set(sample);
      for (let filled = sample.length; filled < frames.length; filled *= 2)
        frames.copyWithin(filled, 0, filled);
    },
  };
}

/**
 * A device that keeps in WAV files what it plays, at the clock's pace, from each OPEN to its CLOSE: `path`, then `path` with
 * -2, -3 and so on before its ending. `takes`: the names of the files of all devices whose takes must not get the same one.
 * `keep`: opens the file, or what is to be had in its stead.
 * Where it ran dry the file has no gap.
 */
export function wavDevice(
  path: string,
  clock: Clock,
  takes = new WavTakes(),
  keep = (open: () => FrameSink): FrameSink => open(),
): PlaybackDevice {
  return {
    description: `WAV file ${path}`,
    formats: WAV_FORMATS,
    openPlayback: async (params, feed) => {
      const sink = keep(() => takes.open(path, (name) => new WavWriter(name, params)));
      return new ClockedVoice(params, feed, clock, sink);
    },
  };
}

/** A device that keeps in memory what it plays, and captures what it is told. */
export type MemoryDevice = PlaybackDevice &
  CaptureDevice & {
    /** What was played from the `take`th OPEN to its CLOSE, counted from 0; by default the last one. */
    heard(take?: number): Uint8Array;
    /** What is captured next, whole frames, in the order of the calls; silence when that is over. */
    say(bytes: Uint8Array): void;
  };

/** For tests: keeps what it plays, and captures what it is told, at the clock's pace. Where it ran dry there is no gap. */
export function memoryDevice(clock: Clock): MemoryDevice {
  const takes: Uint8Array[][] = [];
  let said = Buffer.alloc(0);
  return {
    description: 'memory: keeps what it plays, captures what it is told',
    formats: COUNTABLE,
    heard: (take = takes.length - 1) => Buffer.concat(takes[take] ?? []),
    say: (bytes) => {
      said = Buffer.concat([said, bytes]);
    },
    openPlayback: async (params, feed) => {
      const pieces: Uint8Array[] = [];
      takes.push(pieces);
      const write = (bytes: Uint8Array) => void pieces.push(new Uint8Array(bytes));
      return new ClockedVoice(params, feed, clock, { write, close() {} });
    },
    openCapture: async (params, feed) => {
      const silent = silence(params.format);
      const fill = (frames: Uint8Array) => {
        silent.fill(frames);
        said = said.subarray(said.copy(frames));
      };
      return new ClockedCapture(params, feed, clock, { fill });
    },
  };
}
