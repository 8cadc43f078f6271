import { invalidArgError } from '../errors.ts';

/** What one guest may have of something. */
interface Limit {
  /** What is counted. */
  readonly unit: string;
  readonly default: number;
  /** What it bounds, and why that is what an honest guest never meets. */
  readonly help: string;
}

/**
 * Whatever a guest writes into its rings and its part of XenStore is a wish. This is what it may have, unless the
 * operator says otherwise: all of it counted per guest, not per card or stream.
 */
export const LIMITS = {
  rate: {
    unit: 'Hz',
    default: 192_000,
    help: 'the fastest that sndif.h lists, and that sound cards play',
  },
  channels: {
    unit: 'channels of a stream',
    default: 32,
    help: 'a whole studio interface; a home cinema has 8',
  },
  'bytes-per-second': {
    unit: 'bytes a second of all open streams',
    default: 16 << 20,
    help: '95 streams of CD sound, or one with 8 channels of 64 bits at 192 kHz',
  },
  'positions-per-second': {
    unit: 'positions a second of all open streams',
    default: 8000,
    help: 'one a period: 80 streams with periods of 10 ms, or 8 with 1 ms',
  },
  cards: {
    unit: 'cards',
    default: 8,
    help: 'guests have one or two',
  },
  streams: {
    unit: 'streams of all cards',
    default: 32,
    help: 'one for each program that sounds at the same time',
  },
  'buffer-bytes': {
    unit: 'bytes in the buffers of all open streams',
    default: 16 << 20,
    help: 'held here once more; three seconds of CD sound for each of 32 streams',
  },
  pages: {
    unit: 'pages of the guest, mapped at the same time',
    default: 8192,
    help: 'of 4096 bytes; two for each stream, and the buffers',
  },
  'opens-per-second': {
    unit: 'OPENs a second',
    default: 10,
    help: `a START that runs a program anew counts too; four seconds' worth may come at once; what is beyond is answered up to 2 s later, then refused:
      Linux's frontend waits for 3 s`,
  },
  'wav-bytes': {
    unit: 'bytes in WAV files',
    default: 4 * 2 ** 30,
    help: 'six hours of CD sound; then the stream goes on, and nothing of it is kept',
  },
  'wav-files': {
    unit: 'WAV files',
    default: 1000,
    help: 'one for each OPEN; then the stream goes on, and nothing of it is kept',
  },
  programs: {
    unit: 'programs (exec, alsa, pulse) at the same time',
    default: 16,
    help: 'one for each stream that is open',
  },
  'log-bytes-per-minute': {
    unit: 'bytes a minute in the log',
    default: 32_768,
    help: 'about 200 lines',
  },
} as const satisfies Readonly<Record<string, Limit>>;

export type LimitName = keyof typeof LIMITS;

export const LIMIT_NAMES = Object.keys(LIMITS) as readonly LimitName[];

/** What the operator says about a limit, of all guests or of one. */
export interface LimitSetting {
  /** Undefined for all guests. */
  readonly domid: number | undefined;
  /** Which limit. */
  readonly name: LimitName;
  /** The most that a guest may have, in the unit of the limit: docs/backend.md. */
  readonly value: number;
}

export type LimitValues = Readonly<Record<LimitName, number>>;

/** `[DOMID:]NAME=VALUE`; K, M, G, T behind a number are powers of 1024. */
const SETTING = /^(?:(\d{1,5}):)?([a-z-]+)=(\d{1,15})([KMGT]?)$/;

const SUFFIXES = ['', 'K', 'M', 'G', 'T'];

/** Understands `NAME=VALUE`, and `DOMID:NAME=VALUE` for one guest. Throws ERR_VSND_INVALID_ARG. */
export function parseLimit(text: string, option = '--limit'): LimitSetting {
  const [, domid, name, digits, suffix = ''] = SETTING.exec(text) ?? [];
  const known = LIMIT_NAMES.find((one) => one === name);
  const value = Number(digits) * 1024 ** SUFFIXES.indexOf(suffix);
  if (known === undefined || !Number.isSafeInteger(value)) {
    const allowed = `[DOMID:]NAME=NUMBER, with K, M, G or T for powers of 1024; NAME is one of ${LIMIT_NAMES.join(', ')}`;
    throw invalidArgError(option, text, allowed);
  }
  return { domid: domid === undefined ? undefined : Number(domid), name: known, value };
}

/** A limit as {@link parseLimit} takes it, in few characters: 16777216 is 16M. */
export function formatAmount(value: number): string {
  const power = SUFFIXES.findLastIndex((_, power) => value % 1024 ** power === 0);
  return value === 0 ? '0' : `${value / 1024 ** power}${SUFFIXES[power]}`;
}

/** The limits of one guest: what is said of it alone goes before what is said of all, later ones before earlier ones. */
export function limitsOf(settings: readonly LimitSetting[], domid: number): LimitValues {
  const values = Object.fromEntries(LIMIT_NAMES.map((name) => [name, LIMITS[name].default]));
  for (const who of [undefined, domid]) {
    for (const setting of settings) if (setting.domid === who) values[setting.name] = setting.value;
  }
  return values as LimitValues;
}
