import { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { invalidArgError, VsndError } from '../errors.ts';
import { checkOptionNames } from '../option-names.ts';
import { PCM_FORMATS, pcmFormatByName } from '../wire/pcm-format.ts';
import { openAiff } from './aiff.ts';
import { openAu } from './au.ts';
import type { AudioSource, FrameFormat } from './audio-source.ts';
import { beginningBehindJunk } from './beginnings.ts';
import { type Bytes, MemoryBytes, openFile, readBytes, StreamBytes } from './bytes.ts';
import { openFlac } from './flac.ts';
import { refuseForeign } from './foreign-kinds.ts';
import { type Beginning, beginningAt, HEAD_BYTES } from './magic.ts';
import { openMpeg } from './mpeg.ts';
import { openOgg } from './ogg.ts';
import { openPcm } from './pcm.ts';
import type { Recording } from './recording.ts';
import { sourceOf } from './source.ts';
import { behindTags } from './tag-bytes.ts';
import { openWav } from './wav.ts';

/** How {@link openAudio} is to take its input. */
export interface OpenAudioOptions {
  /** Frames of this format from the first byte on, whatever they look like; left out, the bytes say what they are. */
  readonly raw?: FrameFormat | undefined;
  /** What errors call a stream, or what is in memory; by default 'standard input', and 'memory'. */
  readonly name?: string | undefined;
}

/** As many as a WAV file can have. */
const MAX_CHANNELS = 0xffff;

/** By what recordings begin with; `start`: where that is, behind a tag or another recording. */
const OPENERS: Readonly<Record<Beginning, (bytes: Bytes, start: number) => Promise<Recording>>> = {
  wav: openWav,
  aiff: openAiff,
  au: openAu,
  flac: openFlac,
  ogg: openOgg,
  foreign: refuseForeign,
};

/** A path, all bytes of a recording, or a stream of them: process.stdin, the body of what fetch() has brought. */
export type AudioInput = string | Uint8Array | Readable | WebByteStream;

/** A ReadableStream of bytes, whoever has declared its type: Node, TypeScript's DOM. */
export interface WebByteStream {
  /** Whether somebody reads it already: such a stream is refused. */
  readonly locked: boolean;
  /** Takes the stream for reading. */
  getReader(): {
    /** The next piece. */
    read(): Promise<{
      /** Whether the stream has ended. */
      done: boolean;
      /** Bytes; undefined at the end. */
      value?: Uint8Array | undefined;
    }>;
  };
}

/**
 * Opens a recording; what it is, its first bytes tell. Rejects with ERR_VSND_FILE for what cannot be read or is of no known
 * kind, with ERR_VSND_INVALID_ARG for an `input` that gives no bytes, and for `raw` of a format without frames.
 */
export async function openAudio(input: AudioInput, options: OpenAudioOptions = {}): Promise<AudioSource> {
  checkOptionNames<OpenAudioOptions>('openAudio()', options, { raw: true, name: true });
  const { raw, name } = options;
  if (raw) checkRaw(raw);
  const bytes = await bytesOf(input, name);
  try {
    return await (raw ? openRaw(bytes, raw) : openByContent(bytes));
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

async function bytesOf(input: AudioInput, name: string | undefined): Promise<Bytes> {
  if (typeof input === 'string') return await openFile(input);
  if (input instanceof Uint8Array) return new MemoryBytes(input, name ?? 'memory');
  const stream = input instanceof ReadableStream && !input.locked ? Readable.fromWeb(input) : input;
  if (!isReadable(stream)) {
    const allowed =
      'a path, a Uint8Array, a Readable without an encoding, a ReadableStream that nobody reads';
    throw invalidArgError('input', input, allowed);
  }
  return new StreamBytes(stream, name ?? 'standard input');
}

/** Of any copy of node:stream, and giving bytes: with an encoding it would give text. */
function isReadable(input: unknown): input is Readable {
  const { pipe, destroy, readableEncoding } = (input ?? {}) as Partial<Readable>;
  return typeof pipe === 'function' && typeof destroy === 'function' && !readableEncoding;
}

/** Bytes before a recording that may be something else: the rest of a frame that was cut, padding. */
const REACH_BYTES = 64 * 1024;

async function openByContent(bytes: Bytes): Promise<AudioSource> {
  const start = await behindTags(bytes, 0);
  return sourceOf(bytes, await openAt(bytes, start, REACH_BYTES), openAt);
}

/** Opens the recording that begins at `start`, or, where that cannot be something else, at most `reach` bytes behind it. */
async function openAt(bytes: Bytes, start: number, reach = 0): Promise<Recording> {
  const beginning = await beginningAt(bytes, start);
  if (beginning) return await OPENERS[beginning](bytes, start);
  const recording = (await openMpeg(bytes, start, reach)) ?? (await openBehindJunk(bytes, start, reach));
  if (recording === undefined) throw unknownKindError(bytes.name, await readBytes(bytes, start, HEAD_BYTES));
  return recording;
}

async function openBehindJunk(bytes: Bytes, start: number, reach: number): Promise<Recording | undefined> {
  const behind = reach > 0 ? await beginningBehindJunk(bytes, start, reach) : undefined;
  return behind === undefined ? undefined : await openAt(bytes, behind);
}

async function openRaw(bytes: Bytes, { format, rate, channels }: FrameFormat): Promise<AudioSource> {
  const containerBytes = pcmFormatByName(format)?.sampleBytes ?? 1;
  const layout = {
    kind: 'raw PCM',
    format,
    rate,
    channels,
    containerBytes,
    dataOffset: 0,
    dataBytes: undefined,
  };
  return sourceOf(bytes, await openPcm(bytes, layout), openAt);
}

function checkRaw({ format, rate, channels }: FrameFormat): void {
  if (pcmFormatByName(format)?.sampleBytes === undefined) {
    const allowed = PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined);
    throw invalidArgError('raw.format', format, allowed.map(({ name }) => name).join(', '));
  }
  if (!Number.isSafeInteger(rate) || rate < 1) throw invalidArgError('raw.rate', rate, '1 or more (Hz)');
  if (!Number.isSafeInteger(channels) || channels < 1 || channels > MAX_CHANNELS) {
    throw invalidArgError('raw.channels', channels, `1 to ${MAX_CHANNELS}`);
  }
}

function unknownKindError(name: string, head: Uint8Array): VsndError {
  const what =
    head.length === 0 ? 'is empty' : `is no recording of a known kind: it begins with "${printable(head)}"`;
  return new VsndError('ERR_VSND_FILE', `${name} ${what}; known: ${KNOWN}`);
}

const KNOWN = 'WAV, AIFF, AU, FLAC, MP3, Ogg Vorbis, Ogg Opus, Ogg FLAC';

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}

function printable(head: Uint8Array): string {
  return ascii(head, 0, 12).replace(/[^ !#-~]/g, '.');
}
