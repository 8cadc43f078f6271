import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FrameFormat } from '../../audio/audio-source.ts';
import { PCM_FORMATS, pcmFormatByName } from '../../wire/pcm-format.ts';
import { type CommandLine, parseIndex, parseNumber, UsageError } from '../arguments.ts';
import { CARD, EMULATION, parseEmulation, SOFTWARE_VOLUME } from '../common-options.ts';
import { STDIN } from './playlist.ts';

/** aplay's words for a format, a rate and two channels. */
const SHORTHANDS: Readonly<Record<string, FrameFormat>> = {
  cd: { format: 's16_le', rate: 44_100, channels: 2 },
  cdr: { format: 's16_be', rate: 44_100, channels: 2 },
  dat: { format: 's16_le', rate: 48_000, channels: 2 },
};

const RAW_FORMATS = PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined).map(
  ({ name }) => name,
);

export const PLAY_OPTIONS = {
  format: {
    short: 'f',
    argument: 'FORMAT',
    help: `FILE is raw PCM of this format, as in s16_le or S16_LE; cd and cdr are S16_LE and S16_BE at 44100 Hz in
      stereo, dat is S16_LE at 48000 Hz in stereo`,
    offer: [...Object.keys(SHORTHANDS), ...RAW_FORMATS],
  },
  rate: { short: 'r', argument: 'HZ', help: 'of raw PCM; without it, 48000' },
  channels: { short: 'c', argument: 'N', help: 'of raw PCM; without it, 2' },
  card: CARD,
  device: {
    argument: 'N',
    help: "the card's PCM device with this number; without it, the first one that plays",
  },
  'software-volume': SOFTWARE_VOLUME,
  json: { help: 'print nothing but what was played, at the end, as JSON' },
  ...EMULATION,
  emulate: {
    help: `use an emulated Xen machine inside this process; without FILE, play a sound that comes with vsnd`,
  },
} as const;

export interface PlayOptions {
  /** Paths, or {@link STDIN}. */
  readonly files: readonly string[];
  /** What they hold, where they are raw PCM. */
  readonly raw: FrameFormat | undefined;
  readonly card: number | undefined;
  readonly device: number | undefined;
  readonly softwareVolume: boolean;
  readonly json: boolean;
  /** The emulated machine; undefined: this one. */
  readonly emulation: { readonly sink: string | undefined; readonly fast: boolean } | undefined;
}

/** aplay's names where they are not those of sndif.h in capitals. */
const ALSA_NAMES: Readonly<Record<string, string>> = { s8: 's8', float: 'float_le', float64: 'float64_le' };

const RATES = { min: 1, max: 768_000, unit: 'Hz' };
const CHANNELS = { min: 1, max: 64, unit: '' };

/** Throws {@link UsageError}. */
export function parsePlayOptions({ values, operands }: CommandLine<typeof PLAY_OPTIONS>): PlayOptions {
  const emulation = parseEmulation(values);
  if (!emulation && operands.length === 0) throw new UsageError('FILE is missing (--emulate has one)');
  if (operands.filter((file) => file === STDIN).length > 1)
    throw new UsageError("'-', standard input, is there once");
  const raw = parseRaw(values);
  if (raw && operands.length === 0) throw new UsageError('--format needs FILE');
  return {
    files: operands.length > 0 ? operands : [packagedExample()],
    raw,
    card: parseIndex('--card', values.card),
    device: parseIndex('--device', values.device),
    softwareVolume: values['software-volume'] ?? false,
    json: values.json ?? false,
    emulation,
  };
}

function parseRaw(values: CommandLine<typeof PLAY_OPTIONS>['values']): FrameFormat | undefined {
  const rate = parseNumber('--rate', values.rate, RATES);
  const channels = parseNumber('--channels', values.channels, CHANNELS);
  if (values.format === undefined) {
    const without = values.rate === undefined ? values.channels && '--channels' : '--rate';
    if (without) throw new UsageError(`${without} needs --format: other files say it themselves`);
    return undefined;
  }
  for (const [option, value] of Object.entries({ '--rate': rate, '--channels': channels })) {
    if (value !== undefined && !Number.isInteger(value))
      throw new UsageError(`${option} is '${value}'; allowed: whole numbers`);
  }
  const chosen = parseFormat(values.format);
  return { format: chosen.format, rate: rate ?? chosen.rate, channels: channels ?? chosen.channels };
}

function parseFormat(text: string): FrameFormat {
  const name = text.toLowerCase();
  const shorthand = SHORTHANDS[name];
  if (shorthand) return shorthand;
  const format = pcmFormatByName(ALSA_NAMES[name] ?? name);
  if (format?.sampleBytes !== undefined) return { format: format.name, rate: 48_000, channels: 2 };
  throw new UsageError(
    `--format is '${text}'; allowed: ${[...Object.keys(SHORTHANDS), ...RAW_FORMATS].join(', ')}`,
  );
}

/** The sound that comes with vsnd, by the shorter of its names. */
function packagedExample(): string {
  const path = fileURLToPath(new URL('../../../examples/hello.wav', import.meta.url));
  const fromHere = relative('', path);
  return fromHere.startsWith('..') ? path : fromHere;
}
