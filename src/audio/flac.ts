import { VsndError } from '../errors.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { AudioSource, FrameFormat } from './audio-source.ts';
import { Cursor } from './cursor.ts';
import { FlacDecoder } from './flac-decoder.ts';
import {
  FLAC_FORMATS,
  type FlacInfo,
  maxFrameBytes,
  parseStreamInfo,
  STREAMINFO_BYTES,
} from './flac-format.ts';
import { nextFlacFrame } from './flac-frames.ts';
import { type Octets, readOctets } from './octets.ts';
import { fillHole, silence } from './silence.ts';
import { sourceOf } from './source.ts';
import { ENDS_EARLY, HAS_HOLES, Warnings } from './warnings.ts';

/** Octets in which a frame is looked for by going from one to the next. */
const NEAR_BYTES = 16 * 1024;

/** Octets of tags that may follow the last frame. */
const TAG_BYTES = 4096;

/** Opens a FLAC stream that begins at `start`. Rejects with ERR_VSND_FILE. */
export async function openFlac(octets: Octets, start: number): Promise<AudioSource> {
  const { info, audioStart } = await readMetadata(octets, start);
  const format: FrameFormat = { format: flacFormat(info), rate: info.rate, channels: info.channels };
  const frameBytes = (pcmFormat(format.format).sampleBytes ?? 1) * info.channels;
  const warnings = new Warnings();
  const first = await nextFlacFrame(new Cursor(octets, audioStart), info);
  /** The number of the first frame of sound: any, where the recording was cut out of another one. */
  const origin = first?.offset === audioStart ? first.first : 0;
  const last = octets.size === undefined ? undefined : await lastFrame(octets, octets.size);
  const present = last !== undefined ? Math.max(0, last - origin) : first ? undefined : 0;
  const frames = present === undefined ? info.totalFrames : Math.min(present, info.totalFrames ?? present);
  if (frames !== undefined && info.totalFrames !== undefined && frames < info.totalFrames)
    warnings.add(ENDS_EARLY);

  /** The number of the frame of sound behind the last one that is there; undefined where none is found near the end. */
  async function lastFrame(octets: Octets, size: number): Promise<number | undefined> {
    const tail = 2 * maxFrameBytes(info.blockFrames, info) + TAG_BYTES;
    const cursor = new Cursor(octets, Math.max(audioStart, size - tail));
    let end: number | undefined;
    for (let frame = await nextFlacFrame(cursor, info); frame; frame = await nextFlacFrame(cursor, info)) {
      end = frame.first + frame.frames;
    }
    return end;
  }

  /** At or before the FLAC frame with the frame of sound `number`, and near it. */
  async function seek(number: number): Promise<Cursor> {
    const cursor = new Cursor(octets, audioStart);
    let low = audioStart;
    for (let high = octets.size ?? 0; high - low > NEAR_BYTES; ) {
      const middle = Math.floor((low + high) / 2);
      cursor.position = middle;
      const frame = await nextFlacFrame(cursor, info);
      if (frame === undefined || frame.offset >= high || frame.first > number) high = middle;
      else low = frame.offset;
    }
    cursor.position = low;
    return cursor;
  }

  async function* read(from: number): AsyncGenerator<Uint8Array> {
    const cursor = from === 0 ? new Cursor(octets, audioStart) : await seek(origin + from);
    const decoder = new FlacDecoder(info);
    const stop = frames ?? Number.POSITIVE_INFINITY;
    try {
      for (let at = from; at < stop; ) {
        const frame = await nextFlacFrame(cursor, info);
        if (frame === undefined) {
          if (frames !== undefined) warnings.add(ENDS_EARLY);
          return;
        }
        const begin = frame.first - origin;
        const end = Math.min(begin + frame.frames, stop);
        if (end <= at) continue;
        if (begin > at) {
          warnings.add(HAS_HOLES);
          yield* fillHole(format, Math.min(begin, stop) - at);
          at = begin;
        }
        let sound = await decoder.decode(frame.octets, frame);
        if (sound === undefined) {
          warnings.add(HAS_HOLES);
          sound = silence(format, frame.frames);
        }
        if (end > at) yield sound.subarray((at - begin) * frameBytes, (end - begin) * frameBytes);
        at = end;
      }
    } finally {
      decoder.free();
    }
  }

  return sourceOf(octets, { kind: 'FLAC', ...format, frames, warnings: warnings.texts, read });
}

/** The format of a stream that {@link parseStreamInfo} has let pass. */
export function flacFormat({ bits }: FlacInfo): FrameFormat['format'] {
  return FLAC_FORMATS.get(bits) ?? 's16_le';
}

async function readMetadata(octets: Octets, start: number): Promise<{ info: FlacInfo; audioStart: number }> {
  let info: FlacInfo | undefined;
  for (let offset = start + 4; ; ) {
    const head = await readOctets(octets, offset, 4);
    const [type = 0, ...size] = head;
    const isStreamInfo = (type & 0x7f) === 0;
    if (head.length < 4 || isStreamInfo !== (info === undefined)) {
      throw new VsndError(
        'ERR_VSND_FILE',
        `${octets.name} is a damaged FLAC file: its metadata make no sense`,
      );
    }
    info ??= parseStreamInfo(octets.name, await readOctets(octets, offset + 4, STREAMINFO_BYTES));
    offset += 4 + size.reduce((value, octet) => value * 256 + octet, 0);
    if (type & 0x80) return { info, audioStart: offset };
  }
}
