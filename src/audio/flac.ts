import { VsndError } from '../errors.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { FrameFormat } from './audio-source.ts';
import { nextBeginning } from './beginnings.ts';
import { type Bytes, readBytes } from './bytes.ts';
import { Cursor } from './cursor.ts';
import { FlacDecoder } from './flac-decoder.ts';
import {
  checkFlacInfo,
  FLAC_FORMATS,
  type FlacInfo,
  MAX_HEADER_BYTES,
  maxFrameBytes,
  parseAnyFlacHeader,
  parseFlacHeader,
  parseStreamInfo,
  STREAMINFO_BYTES,
} from './flac-format.ts';
import { type FlacFrame, findMark, nextFlacFrame } from './flac-frames.ts';
import { noFramesError, type Recording } from './recording.ts';
import { fillHole, silence } from './silence.ts';
import { ENDS_EARLY, HAS_HOLES, Warnings } from './warnings.ts';

/** Bytes in which a frame is looked for by going from one to the next. */
const NEAR_BYTES = 16 * 1024;

/** Bytes of tags that may follow the last frame. */
const TAG_BYTES = 4096;

/** Opens a FLAC stream that begins at `start`. Rejects with ERR_VSND_FILE. */
export async function openFlac(bytes: Bytes, start: number): Promise<Recording> {
  const metadata = await readMetadata(bytes, start);
  const { audioStart } = metadata;
  const said = asFramesHave(await readBytes(bytes, audioStart, MAX_HEADER_BYTES), metadata.info);
  checkFlacInfo(bytes.name, said);
  const format: FrameFormat = { format: flacFormat(said), rate: said.rate, channels: said.channels };
  const frameBytes = (pcmFormat(format.format).sampleBytes ?? 1) * said.channels;
  const warnings = new Warnings();
  const opening = new Cursor(bytes, audioStart);
  const found = await nextFlacFrame(opening, said);
  const next = found ? undefined : await nextBeginning(bytes, opening.position);
  if (found === undefined && next === undefined && (await readBytes(bytes, audioStart, 1)).length > 0)
    throw noFramesError(bytes.name);
  const info = found ? await numbering(opening, said, found) : said;
  /** The number of the first frame of sound: any, where the recording was cut out of another one. */
  const origin = found?.offset === audioStart ? firstOf(found, info) : 0;
  const frames = bytes.size === undefined ? found && info.totalFrames : await count(bytes.size);

  /** Undefined where another stream follows. */
  async function count(size: number): Promise<number | undefined> {
    const { totalFrames } = info;
    const last = found && (await lastFrame(bytes, size));
    if (next !== undefined) return undefined;
    const present = last === undefined ? (found ? totalFrames : 0) : Math.max(0, last - origin);
    if (present === totalFrames || totalFrames === undefined) return present;
    if (await isJoined(new Cursor(bytes, audioStart))) return undefined;
    if (present !== undefined && present < totalFrames) warnings.add(ENDS_EARLY);
    return present;
  }

  /** The number of the frame of sound behind the last one that is there; undefined where none is found near the end. */
  async function lastFrame(bytes: Bytes, size: number): Promise<number | undefined> {
    const tail = 2 * maxFrameBytes(info.blockFrames, info) + TAG_BYTES;
    const cursor = new Cursor(bytes, Math.max(audioStart, size - tail));
    let end: number | undefined;
    for (let frame = await nextFlacFrame(cursor, info); frame; frame = await nextFlacFrame(cursor, info)) {
      end = frame.first + frame.frames;
    }
    return end;
  }

  /** At or before the FLAC frame with the frame of sound `number`, and near it. */
  async function seek(number: number): Promise<Cursor> {
    const cursor = new Cursor(bytes, audioStart);
    let low = audioStart;
    for (let high = bytes.size ?? 0; high - low > NEAR_BYTES; ) {
      const middle = Math.floor((low + high) / 2);
      cursor.position = middle;
      const frame = await nextFlacFrame(cursor, info);
      if (frame === undefined || frame.offset >= high || frame.first > number) high = middle;
      else low = frame.offset;
    }
    cursor.position = low;
    return cursor;
  }

  async function* read(from: number): AsyncGenerator<Uint8Array, number | undefined> {
    const cursor = from === 0 ? new Cursor(bytes, audioStart) : await seek(origin + from);
    const decoder = new FlacDecoder(info);
    let at = from;
    let isPlaced = from === 0;
    try {
      for (;;) {
        const { position } = cursor;
        if (!(await isHeaderAt(cursor, info))) {
          const next = await nextBeginning(bytes, position);
          if (next !== undefined) return next;
        }
        const next = await decodeNext(cursor, decoder, info);
        if (next === undefined) break;
        const { frame } = next;
        // What lies right behind what was heard is heard right behind it, though its number says that it was before.
        const isBehind = isPlaced && frame.offset === position && frame.first - origin < at;
        const begin = isBehind ? at : frame.first - origin;
        const end = begin + frame.frames;
        if (end <= at) continue;
        isPlaced = true;
        if (begin > at) {
          warnings.add(HAS_HOLES);
          yield* fillHole(format, begin - at);
          at = begin;
        }
        if (next.sound === undefined) warnings.add(HAS_HOLES);
        const sound = next.sound ?? silence(format, frame.frames);
        yield sound.subarray((at - begin) * frameBytes);
        at = end;
      }
    } finally {
      decoder.free();
    }
    if (at < (info.totalFrames ?? 0)) warnings.add(ENDS_EARLY);
    return await nextBeginning(bytes, cursor.position);
  }

  return { kind: 'FLAC', ...format, frames, warnings, read };
}

/** The next frame, and its sound, if it is not damaged. One whose end was likely, and cannot be decoded, is looked at again. */
async function decodeNext(
  cursor: Cursor,
  decoder: FlacDecoder,
  info: FlacInfo,
): Promise<{ frame: FlacFrame; sound: Uint8Array | undefined } | undefined> {
  for (const isSure of [false, true]) {
    const frame = await nextFlacFrame(cursor, info, isSure);
    const sound = frame && (await decoder.decode(frame.bytes, frame));
    if (frame === undefined || sound !== undefined || frame.isSure) return frame && { frame, sound };
    cursor.position = frame.offset;
  }
  return undefined;
}

/** STREAMINFO, with what the first frame has otherwise. */
function asFramesHave(head: Uint8Array, info: FlacInfo): FlacInfo {
  const { rate, channels, bits } = parseAnyFlacHeader(head, info) ?? info;
  return { ...info, rate, channels, bits };
}

/** Whether a frame begins at the cursor. */
async function isHeaderAt(cursor: Cursor, info: FlacInfo): Promise<boolean> {
  return parseFlacHeader(await cursor.peek(MAX_HEADER_BYTES), info) !== undefined;
}

/** Whether another FLAC stream begins behind the cursor: then it is not the end that says how long this one is. */
async function isJoined(cursor: Cursor): Promise<boolean> {
  const length = 64 * 1024;
  const overlap = 8; // a mark may lie in two windows
  for (let window = await cursor.peek(length); window.length > overlap; window = await cursor.peek(length)) {
    if (findMark(window) !== -1) return true;
    cursor.position += window.length - overlap;
  }
  return false;
}

/**
 * How the numbers of FLAC frames count: what frames have beats what STREAMINFO says. `cursor`: behind the first frame. Only
 * where STREAMINFO leaves it open a second one is looked at, which a stream may not have yet.
 */
async function numbering(cursor: Cursor, info: FlacInfo, first: FlacFrame): Promise<FlacInfo> {
  const { leastBlockFrames, blockFrames } = info;
  if (first.isVariable || (leastBlockFrames === blockFrames && blockFrames === first.frames)) return info;
  const { number, frames } = first;
  const second = await nextFlacFrame(cursor, info);
  if (second === undefined) return { ...info, blockFrames: frames };
  const isVariable =
    second.number === number + frames || (second.number !== number + 1 && leastBlockFrames !== blockFrames);
  return { ...info, isVariable, blockFrames: isVariable ? Math.max(blockFrames, frames) : frames };
}

function firstOf({ number, isVariable }: FlacFrame, info: FlacInfo): number {
  return isVariable || info.isVariable ? number : number * info.blockFrames;
}

/** The format of a stream that {@link parseStreamInfo} has let pass. */
export function flacFormat({ bits }: FlacInfo): FrameFormat['format'] {
  return FLAC_FORMATS.get(bits) ?? 's16_le';
}

async function readMetadata(bytes: Bytes, start: number): Promise<{ info: FlacInfo; audioStart: number }> {
  let info: FlacInfo | undefined;
  for (let offset = start + 4; ; ) {
    const head = await readBytes(bytes, offset, 4);
    const [type = 0, ...size] = head;
    const isStreamInfo = (type & 0x7f) === 0;
    if (head.length < 4 || isStreamInfo !== (info === undefined)) {
      throw new VsndError(
        'ERR_VSND_FILE',
        `${bytes.name} is a damaged FLAC file: its metadata make no sense`,
      );
    }
    info ??= parseStreamInfo(bytes.name, await readBytes(bytes, offset + 4, STREAMINFO_BYTES));
    offset += 4 + size.reduce((value, byte) => value * 256 + byte, 0);
    if (type & 0x80) return { info, audioStart: offset };
  }
}
