import type { Writable } from 'node:stream';
import type { Clock } from '../clock.ts';
import { VsndError } from '../errors.ts';
import { WAV_FORMATS } from '../wav/header.ts';
import { packS24 } from '../wav/repack.ts';
import { WavWriter } from '../wav/writer.ts';
import { PCM_FORMATS, type PcmFormatName } from '../wire/pcm-format.ts';
import { ClockedVoice } from './clocked-voice.ts';
import type { DeviceParams, PcmDevice } from './pcm-device.ts';
import { WritableVoice } from './writable-voice.ts';

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
      const file = new WavWriter(numbered(path, ++takes), params);
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

/** The constructor of npm `speaker`, as far as it is used here. */
type SpeakerConstructor = new (options: {
  channels: number;
  sampleRate: number;
  bitDepth: number;
  signed: boolean;
  float: boolean;
  samplesPerFrame: number;
}) => Writable;

/** What `speaker` calls a format. Its 24 bits are packed. */
const SPEAKER_FORMATS: Partial<Record<PcmFormatName, { bitDepth: number; signed: boolean; float: boolean }>> =
  {
    s8: { bitDepth: 8, signed: true, float: false },
    u8: { bitDepth: 8, signed: false, float: false },
    s16_le: { bitDepth: 16, signed: true, float: false },
    s24_le: { bitDepth: 24, signed: true, float: false },
    s32_le: { bitDepth: 32, signed: true, float: false },
    float_le: { bitDepth: 32, signed: true, float: true },
  };

/**
 * The machine's own sound card, through npm `speaker`. Positions are the frames whose write callback has returned:
 * they run ahead of what is heard by the host's own buffer, about 100 ms with ALSA.
 * Rejects with ERR_VSND_DEVICE where `speaker` is not installed or cannot be loaded.
 */
export async function speakerDevice(): Promise<PcmDevice> {
  const Speaker = await loadSpeaker();
  return {
    description: 'speaker: the sound card of this machine',
    formats: Object.keys(SPEAKER_FORMATS) as PcmFormatName[],
    openPlayback: async (params, feed) => {
      const convert = params.format === 's24_le' ? packS24 : (octets: Uint8Array) => octets.slice();
      return new WritableVoice(params, feed, await openSpeaker(Speaker, params), convert);
    },
  };
}

/** True where the speaker takes a moment of silence. */
export async function speakerOpens(device: PcmDevice): Promise<boolean> {
  const params: DeviceParams = { rate: 48_000, channels: 2, format: 's16_le', frameBytes: 4, periodBytes: 0 };
  const silence = { available: 0, take: () => new Uint8Array(0), played() {}, dry() {}, failed() {} };
  try {
    const voice = await device.openPlayback(params, silence);
    await voice.close({ drain: false });
    return true;
  } catch {
    return false;
  }
}

async function loadSpeaker(): Promise<SpeakerConstructor> {
  const name = 'speaker'; // an optional peer dependency: its types must not be needed to compile
  try {
    const { default: Speaker } = (await import(name)) as { default: SpeakerConstructor };
    return Speaker;
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    const reason = isMissing ? 'it is not installed' : `it cannot be loaded (${(cause as Error).message})`;
    throw new VsndError(
      'ERR_VSND_DEVICE',
      `the sink 'speaker' needs the npm package speaker; ${reason}: npm install speaker (on Debian after: apt install g++ make python3 libasound2-dev)`,
      { cause },
    );
  }
}

/** `speaker` opens its device at the first write: a frame of silence shows whether it does. */
async function openSpeaker(Speaker: SpeakerConstructor, params: DeviceParams): Promise<Writable> {
  const format = SPEAKER_FORMATS[params.format];
  if (format === undefined) {
    throw new VsndError('ERR_VSND_NOT_SUPPORTED', `speaker cannot play ${params.format}`, {
      errno: 'EINVAL',
    });
  }
  const { channels, rate: sampleRate } = params;
  const speaker = new Speaker({ channels, sampleRate, ...format, samplesPerFrame: 1024 });
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(new VsndError('ERR_VSND_DEVICE', `the speaker cannot be opened: ${cause.message}`, { cause }));
    speaker.once('error', fail);
    speaker.write(Buffer.alloc(0), (error) => (error ? fail(error) : resolve()));
  });
  return speaker;
}

function numbered(path: string, take: number): string {
  return take === 1 ? path : path.replace(/(\.[^./]*)?$/, `-${take}$1`);
}
