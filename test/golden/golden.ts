import { readFileSync } from 'node:fs';

/** What Xen's own headers make of the protocol: golden.c says how each part came about. */
export interface Golden {
  readonly sizes: Numbers;
  readonly offsets: Numbers;
  readonly constants: Numbers;
  readonly strings: Strings;
  readonly operations: Numbers;
  readonly triggers: Numbers;
  readonly fields: Strings;
  readonly formats: Readonly<Record<string, GoldenFormat>>;
  readonly xenbusStates: Numbers;
  readonly errno: Numbers;
  readonly errnoWithInternal: Numbers;
  readonly errnoOfLinuxSound: Numbers;
  readonly xsdErrors: Numbers;
  readonly requests: GoldenRequests;
  readonly responses: Readonly<Record<string, GoldenResponse>>;
  readonly events: readonly GoldenEvent[];
  readonly directories: Readonly<Record<string, GoldenDirectory>>;
  readonly rings: Readonly<Record<string, GoldenRingScript>>;
  /** Start, distance of the producer index, RING_REQUEST_PROD_OVERFLOW, RING_RESPONSE_PROD_OVERFLOW. */
  readonly overflows: readonly (readonly [number, number, 0 | 1, 0 | 1])[];
  /** Index and bytes from the start of the page. */
  readonly eventSlots: readonly (readonly [number, number])[];
  readonly eventPages: Readonly<Record<string, GoldenEventScript>>;
  readonly messages: Readonly<Record<string, GoldenMessage>>;
}

type Numbers = Readonly<Record<string, number>>;
type Strings = Readonly<Record<string, string>>;

export interface GoldenFormat {
  readonly code: number;
  readonly str: string;
  readonly libxl: number;
}

interface GoldenEntry {
  readonly id: number;
  readonly operation: number;
  readonly bytes: string;
}

interface GoldenOpen extends GoldenEntry {
  readonly pcm_rate: number;
  readonly pcm_format: number;
  readonly pcm_channels: number;
  readonly buffer_sz: number;
  readonly gref_directory: number;
  readonly period_sz: number;
}

export interface GoldenRw extends GoldenEntry {
  readonly offset: number;
  readonly length: number;
}

export interface GoldenHwParam {
  readonly formats: string;
  readonly 'rates.min': number;
  readonly 'rates.max': number;
  readonly 'channels.min': number;
  readonly 'channels.max': number;
  readonly 'buffer.min': number;
  readonly 'buffer.max': number;
  readonly 'period.min': number;
  readonly 'period.max': number;
}

export interface GoldenRequests {
  readonly OPEN: GoldenOpen;
  readonly CLOSE: GoldenEntry;
  readonly READ: GoldenRw;
  readonly WRITE: GoldenRw;
  readonly SET_VOLUME: GoldenRw;
  readonly GET_VOLUME: GoldenRw;
  readonly MUTE: GoldenRw;
  readonly UNMUTE: GoldenRw;
  readonly TRIGGER_START: GoldenEntry;
  readonly TRIGGER_PAUSE: GoldenEntry;
  readonly TRIGGER_STOP: GoldenEntry;
  readonly TRIGGER_RESUME: GoldenEntry;
  readonly HW_PARAM_QUERY: GoldenEntry & GoldenHwParam;
}

export interface GoldenResponse extends GoldenEntry, Partial<GoldenHwParam> {
  readonly status: number;
}

export interface GoldenEvent {
  readonly id: number;
  readonly type: number;
  readonly position: string;
  readonly bytes: string;
}

export interface GoldenDirectory {
  readonly count: number;
  readonly 'first gref': number;
  readonly 'first directory gref': number;
  readonly pages: readonly { readonly next: number; readonly bytes: string }[];
}

/** Operation, argument or result; then the four indexes behind it, and RING_FREE_REQUESTS. */
export type GoldenRingStep = readonly [
  operation: `front.${'put' | 'publish' | 'take' | 'rearm'}` | `back.${'put' | 'publish' | 'take' | 'rearm'}`,
  value: number,
  reqProd: number,
  reqEvent: number,
  rspProd: number,
  rspEvent: number,
  free: number,
];

export interface GoldenRingScript {
  readonly start: number;
  readonly fresh: string;
  readonly steps: readonly GoldenRingStep[];
  readonly page: string;
}

export interface GoldenEventScript {
  readonly start: number;
  /** p: produce, c: consume */
  readonly program: string;
  readonly in_cons: number;
  readonly in_prod: number;
  readonly page: string;
}

export interface GoldenMessage {
  readonly type: number;
  readonly req_id: number;
  readonly tx_id: number;
  readonly len: number;
  readonly payload: string;
  readonly bytes: string;
}

export const golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8')) as Golden;

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** A whole page of the bytes, zeros behind them. */
export function pageFromHex(hex: string): Uint8Array {
  const page = new Uint8Array(4096);
  page.set(fromHex(hex));
  return page;
}

/** 'GET_PERMS' as 'getPerms'. */
export function camelCase(name: string): string {
  return name.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
