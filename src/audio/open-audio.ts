import type { Readable } from 'node:stream';
import { invalidArgError, VsndError } from '../errors.ts';
import { checkOptionNames } from '../option-names.ts';
import { PCM_FORMATS, pcmFormatByName } from '../wire/pcm-format.ts';
import { openAiff } from './aiff.ts';
import { openAu } from './au.ts';
import type { AudioSource, FrameFormat } from './audio-source.ts';
import { openFlac } from './flac.ts';
import { foreignKindError, foreignKindOf } from './foreign-kinds.ts';
import { openMpeg } from './mpeg.ts';
import { type Octets, openFile, readOctets, StreamOctets } from './octets.ts';
import { openOgg } from './ogg.ts';
import { openPcm } from './pcm.ts';
import { openWav } from './wav.ts';

export interface OpenAudioOptions {
  /** Frames of this format from the first octet on, whatever they look like; left out, the octets say what they are. */
  readonly raw?: FrameFormat | undefined;
  /** What errors call a stream; by default 'standard input'. */
  readonly name?: string | undefined;
}

/** One kind of recording. */
interface Kind {
  /** Whether a recording that begins with `head` is of this kind. */
  recognises(head: Uint8Array): boolean;
  /** `start`: where that is, behind a tag. */
  open(octets: Octets, start: number): Promise<AudioSource>;
}

/** As many as a WAV file can have. */
const MAX_CHANNELS = 0xffff;

/** Octets that are enough to tell any kind but MPEG, which has no beginning of its own. */
const HEAD_BYTES = 12;

const KINDS: readonly Kind[] = [
  { recognises: (head) => ['RIFF', 'RF64', 'BW64'].includes(ascii(head, 0, 4)), open: openWav },
  {
    recognises: (head) => ascii(head, 0, 4) === 'FORM' && ['AIFF', 'AIFC'].includes(ascii(head, 8, 12)),
    open: openAiff,
  },
  { recognises: (head) => ascii(head, 0, 4) === '.snd', open: openAu },
  { recognises: (head) => ascii(head, 0, 4) === 'fLaC', open: openFlac },
  { recognises: (head) => ascii(head, 0, 4) === 'OggS', open: openOgg },
];

/**
 * Opens a recording by its path, or as it comes through a stream such as process.stdin; what it is, its first octets tell.
 * Rejects with ERR_VSND_FILE for what cannot be read or is of no known kind, with ERR_VSND_INVALID_ARG for `raw` of a
 * format without frames.
 */
export async function openAudio(
  input: string | Readable,
  options: OpenAudioOptions = {},
): Promise<AudioSource> {
  checkOptionNames<OpenAudioOptions>('openAudio()', options, { raw: true, name: true });
  const { raw, name = 'standard input' } = options;
  if (raw) checkRaw(raw);
  const octets = typeof input === 'string' ? await openFile(input) : new StreamOctets(input, name);
  try {
    return await (raw ? openRaw(octets, raw) : openByContent(octets));
  } catch (error) {
    await octets.close();
    throw error;
  }
}

async function openByContent(octets: Octets): Promise<AudioSource> {
  const start = await afterTags(octets);
  const head = await readOctets(octets, start, HEAD_BYTES);
  const foreign = foreignKindOf(head);
  if (foreign !== undefined) throw foreignKindError(octets.name, foreign, octets.size !== undefined);
  const kind = KINDS.find(({ recognises }) => recognises(head));
  const source = kind ? await kind.open(octets, start) : await openMpeg(octets, start);
  if (source === undefined) throw unknownKindError(octets.name, head);
  return source;
}

/** Where the recording begins behind ID3v2 tags. */
async function afterTags(octets: Octets): Promise<number> {
  for (let start = 0; ; ) {
    const [i, d, three, version = 0xff, , flags = 0, ...size] = await readOctets(octets, start, 10);
    if (i !== 0x49 || d !== 0x44 || three !== 0x33 || version === 0xff || size.some((octet) => octet > 0x7f))
      return start;
    start += 10 + size.reduce((sum, octet) => sum * 128 + octet, 0) + (flags & 0x10 ? 10 : 0);
  }
}

function openRaw(octets: Octets, { format, rate, channels }: FrameFormat): AudioSource {
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
  return openPcm(octets, layout);
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

function ascii(octets: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...octets.subarray(from, to));
}

function printable(head: Uint8Array): string {
  return ascii(head, 0, 12).replace(/[^ !#-~]/g, '.');
}
