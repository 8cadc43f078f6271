import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import type { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { VsndError } from '../errors.ts';
import { packS24 } from '../wav/repack.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { DeviceParams, PlaybackDevice } from './pcm-device.ts';
import { WritableVoice } from './writable-voice.ts';

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
const FORMATS: Partial<Record<PcmFormatName, { bitDepth: number; signed: boolean; float: boolean }>> = {
  s8: { bitDepth: 8, signed: true, float: false },
  u8: { bitDepth: 8, signed: false, float: false },
  s16_le: { bitDepth: 16, signed: true, float: false },
  s24_le: { bitDepth: 24, signed: true, float: false },
  s32_le: { bitDepth: 32, signed: true, float: false },
  float_le: { bitDepth: 32, signed: true, float: true },
};

/** Opens the sound device and plays one silent frame of 16-bit stereo. */
const PROBE = `
  const Speaker = require(process.argv[1]);
  const speaker = new Speaker({ channels: 2, bitDepth: 16, sampleRate: 48000 });
  speaker.on('error', () => process.exit(1));
  speaker.write(Buffer.alloc(4), (error) => process.exit(error ? 1 : 0));
`;

/**
 * The machine's own sound card, through npm `speaker`. Positions are the frames whose write callback has returned:
 * they run ahead of what is heard by the host's own buffer, about 100 ms with ALSA.
 * Rejects with ERR_VSND_DEVICE where `speaker` is not installed, cannot be loaded, or finds no sound device.
 */
export async function speakerDevice(): Promise<PlaybackDevice> {
  const path = findSpeaker();
  await probe(path);
  const Speaker = require(path) as SpeakerConstructor;
  return {
    description: 'speaker: the sound card of this machine',
    formats: Object.keys(FORMATS) as PcmFormatName[],
    openPlayback: async (params, feed) => {
      const convert = params.format === 's24_le' ? packS24 : (bytes: Uint8Array) => new Uint8Array(bytes);
      return new WritableVoice(params, feed, await openSpeaker(Speaker, params), convert);
    },
  };
}

/** An optional peer dependency, without types: found at run time only. */
const require = createRequire(import.meta.url);

function findSpeaker(): string {
  try {
    return require.resolve('speaker');
  } catch (cause) {
    throw deviceError(
      "the sink 'speaker' needs the npm package speaker, which is not installed: npm install speaker (on Debian after: apt install g++ make python3 libasound2-dev)",
      cause,
    );
  }
}

/** In a process of its own: without a sound device, loading `speaker` is enough for a failed assertion to end the process. */
async function probe(path: string): Promise<void> {
  try {
    await promisify(execFile)(process.execPath, ['--eval', PROBE, path], { timeout: 10_000 });
  } catch (cause) {
    throw deviceError(
      'the speaker cannot be opened: speaker cannot be loaded, or this machine has no sound device that takes 48 kHz stereo',
      cause,
    );
  }
}

/** `speaker` opens its device at the first write, even at an empty one. */
async function openSpeaker(Speaker: SpeakerConstructor, params: DeviceParams): Promise<Writable> {
  const format = FORMATS[params.format];
  if (format === undefined) {
    throw new VsndError('ERR_VSND_NOT_SUPPORTED', `speaker cannot play ${params.format}`);
  }
  const { channels, rate: sampleRate } = params;
  const speaker = new Speaker({ channels, sampleRate, ...format, samplesPerFrame: 1024 });
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(deviceError(`the speaker cannot be opened: ${cause.message}`, cause));
    speaker.once('error', fail);
    speaker.write(Buffer.alloc(0), (error) => (error ? fail(error) : resolve()));
  });
  return speaker;
}

function deviceError(message: string, cause: unknown): VsndError {
  return new VsndError('ERR_VSND_DEVICE', message, { cause });
}
