import { protocolError } from '../errors.ts';
import { RING_ENTRY_SIZE } from './ring.ts';

/** Request codes. */
export const SndifOp = {
  open: 0, // XENSND_OP_OPEN
  close: 1, // XENSND_OP_CLOSE
  read: 2, // XENSND_OP_READ
  write: 3, // XENSND_OP_WRITE
  setVolume: 4, // XENSND_OP_SET_VOLUME
  getVolume: 5, // XENSND_OP_GET_VOLUME
  mute: 6, // XENSND_OP_MUTE
  unmute: 7, // XENSND_OP_UNMUTE
  trigger: 8, // XENSND_OP_TRIGGER
  hwParamQuery: 9, // XENSND_OP_HW_PARAM_QUERY
} as const;

export type SndifOpName = keyof typeof SndifOp;

/** Trigger codes. */
export const SndifTrigger = {
  start: 0, // XENSND_OP_TRIGGER_START
  pause: 1, // XENSND_OP_TRIGGER_PAUSE
  stop: 2, // XENSND_OP_TRIGGER_STOP
  resume: 3, // XENSND_OP_TRIGGER_RESUME
} as const;

export type SndifTriggerName = keyof typeof SndifTrigger;

/** XENSND_EVT_CUR_POS */
export const EVT_CUR_POS = 0;

/** Grant references in one directory page, behind gref_dir_next_page. */
export const DIRECTORY_GREFS = 1023;

/** A closed interval of u32 values. */
export interface Interval {
  /** The least. */
  readonly min: number;
  /** The most. */
  readonly max: number;
}

/** struct xensnd_query_hw_param: what a stream can be set to. */
export interface HwParamRanges {
  /** Bit n set: the format with code n. u64. */
  readonly formats: bigint;
  /** Hz */
  readonly rates: Interval;
  readonly channels: Interval;
  readonly bufferFrames: Interval;
  readonly periodFrames: Interval;
}

/** struct xensnd_open_req */
export interface OpenRequest {
  readonly op: 'open';
  /** Hz, u32 */
  readonly rate: number;
  /** XENSND_PCM_FORMAT_*, u8 */
  readonly format: number;
  /** u8 */
  readonly channels: number;
  /** Bytes, u32; the whole shared buffer, its control area included. */
  readonly bufferBytes: number;
  /** The first page of the directory. */
  readonly directoryGref: number;
  /** Bytes between two CUR_POS events, u32; 0: no events. */
  readonly periodBytes: number;
}

/** struct xensnd_rw_req: a range of the shared buffer, in bytes, both u32. */
export interface BufferRequest {
  readonly op: 'read' | 'write' | 'setVolume' | 'getVolume' | 'mute' | 'unmute';
  readonly offset: number;
  readonly length: number;
}

export type SndifRequest =
  | OpenRequest
  | BufferRequest
  | { readonly op: 'close' }
  | { readonly op: 'trigger'; readonly trigger: SndifTriggerName }
  | { readonly op: 'hwParamQuery'; readonly ranges: HwParamRanges };

/** A request as it was found in the ring; `request` is undefined for an operation or a trigger that sndif.h does not have. */
export interface ReceivedRequest {
  /** u16, the frontend's own */
  readonly id: number;
  /** u8 */
  readonly operation: number;
  readonly request: SndifRequest | undefined;
}

/** struct xensnd_resp */
export interface SndifResponse {
  readonly id: number;
  readonly operation: number;
  /** 0, or a negative Xen errno. i32 */
  readonly status: number;
  /** Only in a successful answer to hwParamQuery. */
  readonly ranges?: HwParamRanges;
}

/** struct xensnd_evt with a position */
export interface CurPosEvent {
  /** u16, counted by the backend */
  readonly id: number;
  /** Bytes since OPEN, u64 */
  readonly position: bigint;
}

/** A request, response or event of 64 bytes, and the view of it: made once, used for one after the other. */
export interface SndifEntry {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export function newEntry(): SndifEntry {
  const bytes = new Uint8Array(RING_ENTRY_SIZE);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** One request of 64 bytes, in `entry`. `id`: u16. */
export function encodeRequest(id: number, request: SndifRequest, entry = newEntry()): Uint8Array {
  const { bytes, view } = entry;
  bytes.fill(0);
  view.setUint16(0, id, true);
  view.setUint8(2, SndifOp[request.op]);
  switch (request.op) {
    case 'open':
      view.setUint32(8, request.rate, true);
      view.setUint8(12, request.format);
      view.setUint8(13, request.channels);
      view.setUint32(16, request.bufferBytes, true);
      view.setUint32(20, request.directoryGref, true);
      view.setUint32(24, request.periodBytes, true);
      break;
    case 'trigger':
      view.setUint8(8, SndifTrigger[request.trigger]);
      break;
    case 'hwParamQuery':
      setRanges(view, request.ranges);
      break;
    case 'close':
      break;
    default:
      view.setUint32(8, request.offset, true);
      view.setUint32(12, request.length, true);
  }
  return bytes;
}

/** The inverse of {@link encodeRequest}; takes any 64 bytes. */
export function decodeRequest(bytes: Uint8Array, view: DataView = viewOf(bytes)): ReceivedRequest {
  const operation = view.getUint8(2);
  return { id: view.getUint16(0, true), operation, request: decodeOperation(operation, view) };
}

function decodeOperation(operation: number, view: DataView): SndifRequest | undefined {
  const op = OP_NAMES.get(operation);
  switch (op) {
    case undefined:
      return undefined;
    case 'open':
      return {
        op,
        rate: view.getUint32(8, true),
        format: view.getUint8(12),
        channels: view.getUint8(13),
        bufferBytes: view.getUint32(16, true),
        directoryGref: view.getUint32(20, true),
        periodBytes: view.getUint32(24, true),
      };
    case 'close':
      return { op };
    case 'trigger': {
      const trigger = TRIGGER_NAMES.get(view.getUint8(8));
      return trigger && { op, trigger };
    }
    case 'hwParamQuery':
      return { op, ranges: getRanges(view) };
    default:
      return { op, offset: view.getUint32(8, true), length: view.getUint32(12, true) };
  }
}

/** One response of 64 bytes, in `entry`. */
export function encodeResponse(response: SndifResponse, entry = newEntry()): Uint8Array {
  const { bytes, view } = entry;
  bytes.fill(0);
  view.setUint16(0, response.id, true);
  view.setUint8(2, response.operation);
  view.setInt32(4, response.status, true);
  if (response.ranges) setRanges(view, response.ranges);
  return bytes;
}

/** The inverse of {@link encodeResponse}; takes any 64 bytes. */
export function decodeResponse(bytes: Uint8Array, view: DataView = viewOf(bytes)): SndifResponse {
  const response = {
    id: view.getUint16(0, true),
    operation: view.getUint8(2),
    status: view.getInt32(4, true),
  };
  const hasRanges = response.operation === SndifOp.hwParamQuery && response.status === 0;
  return hasRanges ? { ...response, ranges: getRanges(view) } : response;
}

/** One event of 64 bytes, in `entry`. A `position` that is a number is written much faster. */
export function encodeCurPos(
  { id, position }: { id: number; position: bigint | number },
  entry = newEntry(),
): Uint8Array {
  const { bytes, view } = entry;
  bytes.fill(0);
  view.setUint16(0, id, true);
  view.setUint8(2, EVT_CUR_POS);
  if (typeof position === 'bigint') view.setBigUint64(8, position, true);
  else {
    view.setUint32(8, position >>> 0, true);
    view.setUint32(12, position / 2 ** 32, true);
  }
  return bytes;
}

/** The inverse of {@link encodeCurPos}. Throws ERR_VSND_PROTOCOL for an event of another type. */
export function decodeEvent(bytes: Uint8Array, view: DataView = viewOf(bytes)): CurPosEvent {
  const type = view.getUint8(2);
  if (type !== EVT_CUR_POS) {
    throw protocolError(
      `the backend sent an event of type ${type}; allowed: ${EVT_CUR_POS} (XENSND_EVT_CUR_POS)`,
    );
  }
  return { id: view.getUint16(0, true), position: view.getBigUint64(8, true) };
}

/** Directory pages that `grefCount` references need; at least one. */
export function directoryPageCount(grefCount: number): number {
  return Math.max(1, Math.ceil(grefCount / DIRECTORY_GREFS));
}

/**
 * The contents of the directory pages (struct xensnd_page_directory), one array a page, without the zeros behind.
 * `directoryGrefs`: the references of those pages themselves; each names the next one, the last names 0.
 */
export function encodeDirectory(grefs: readonly number[], directoryGrefs: readonly number[]): Uint8Array[] {
  return directoryGrefs.map((_, page) => {
    const part = grefs.slice(page * DIRECTORY_GREFS, (page + 1) * DIRECTORY_GREFS);
    const bytes = new Uint8Array(4 * (1 + part.length));
    const view = new DataView(bytes.buffer);
    view.setUint32(0, directoryGrefs[page + 1] ?? 0, true);
    for (const [index, gref] of part.entries()) view.setUint32(4 * (index + 1), gref, true);
    return bytes;
  });
}

/** Takes the first `count` references (at most 1023) of one directory page, and the reference of the next page. */
export function decodeDirectoryPage(bytes: Uint8Array, count: number): { next: number; grefs: number[] } {
  const view = viewOf(bytes);
  const grefs: number[] = [];
  for (let index = 1; index <= Math.min(count, DIRECTORY_GREFS); index++) {
    grefs.push(view.getUint32(4 * index, true));
  }
  return { next: view.getUint32(0, true), grefs };
}

const OP_NAMES: ReadonlyMap<number, SndifOpName> = new Map(
  (Object.keys(SndifOp) as SndifOpName[]).map((name) => [SndifOp[name], name]),
);

const TRIGGER_NAMES: ReadonlyMap<number, SndifTriggerName> = new Map(
  (Object.keys(SndifTrigger) as SndifTriggerName[]).map((name) => [SndifTrigger[name], name]),
);

const INTERVALS = ['rates', 'channels', 'bufferFrames', 'periodFrames'] as const;

function setRanges(view: DataView, ranges: HwParamRanges): void {
  view.setBigUint64(8, ranges.formats, true);
  for (const [index, name] of INTERVALS.entries()) {
    view.setUint32(16 + index * 8, ranges[name].min, true);
    view.setUint32(20 + index * 8, ranges[name].max, true);
  }
}

function getRanges(view: DataView): HwParamRanges {
  const interval = (index: number): Interval => ({
    min: view.getUint32(16 + index * 8, true),
    max: view.getUint32(20 + index * 8, true),
  });
  return {
    formats: view.getBigUint64(8, true),
    rates: interval(0),
    channels: interval(1),
    bufferFrames: interval(2),
    periodFrames: interval(3),
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
