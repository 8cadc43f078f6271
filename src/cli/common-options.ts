import { SINK_NAMES, SOURCE_NAMES, sinkOf, sourceOf } from '../backend/device-names.ts';
import { type OptionValues, UsageError } from './arguments.ts';

/** Options that several commands have. */

export const CARD = { argument: 'N', help: 'the card with this number (default: the first one)' } as const;

export const SOFTWARE_VOLUME = {
  help: 'change the volume, also from vsnd volume, in this process: the backend need not have any',
} as const;

/** Those by which a command says whose card it means: one that another process has open. */
export const OWNER_OPTIONS = {
  card: { argument: 'N', help: 'the card with this number (default: the first one in use)' },
  emulate: { help: 'the card of a process that runs with --emulate' },
  socket: { argument: 'FILE', help: 'the card behind this control socket' },
} as const;

export const EMULATE = { help: 'use an emulated Xen machine inside this process' } as const;

export const SINK = {
  argument: 'SINK',
  help: `where the emulated card's sound goes (default: the first of pipewire, pulse, alsa and speaker that plays
    here, else to null); to null where nobody listens, which is without a terminal, with CI set, or with --fast`,
  values: {
    pipewire: 'pw-cat; pipewire<NODE> for another node than the default one',
    pulse: 'pacat; pulse<SINK> for another sink than the default one',
    alsa: 'aplay; alsa<hw:0;0> for the device hw:0,0',
    speaker: "this machine's speakers, by the npm package speaker",
    'exec:COMMAND': `a program that plays its standard input, run by sh; may have {rate} {channels} {format}, see vsnd
      backend --help`,
    'wav:FILE': 'a WAV file: what the card heard, bit for bit',
    null: 'nowhere, at the pace of a real card',
  },
} as const;

export const SOURCE = {
  argument: 'SOURCE',
  help: 'what the emulated card captures (default: sine)',
  values: {
    pipewire: 'pw-cat; pipewire<NODE> for another node than the default one',
    pulse: 'parec; pulse<SOURCE> for another source than the default one',
    alsa: 'arecord; alsa<hw:0;0> for the device hw:0,0',
    'exec:COMMAND': "a program's standard output; COMMAND as with vsnd backend",
    'wav:FILE': 'a WAV file, again and again',
    'sine:HZ': 'a sine; sine alone is one of 1000 Hz',
    silence: 'nothing',
  },
} as const;

/** Those of a command that plays. */
export const EMULATION = {
  emulate: EMULATE,
  sink: SINK,
  fast: { help: 'let the emulated card run as fast as it can' },
} as const;

/** What {@link EMULATION} says; undefined without --emulate. Throws {@link UsageError}. */
export function parseEmulation(
  values: OptionValues<typeof EMULATION>,
): { sink: string | undefined; fast: boolean } | undefined {
  checkEmulation(values);
  const { emulate, sink, fast = false } = values;
  return emulate ? { sink, fast } : undefined;
}

/** Throws {@link UsageError} for what an emulated card has not, or where there is none. */
export function checkEmulation({
  emulate,
  ...values
}: {
  emulate?: boolean | undefined;
  fast?: boolean | undefined;
  sink?: string | undefined;
  source?: string | undefined;
}): void {
  const { fast, sink, source } = values;
  const [needless] = Object.entries({ fast, sink, source }).filter(([, value]) => value !== undefined);
  if (!emulate && needless) throw new UsageError(`--${needless[0]} needs --emulate`);
  if (sink !== undefined && !sinkOf(sink)) {
    throw new UsageError(`--sink is '${sink}'; allowed: ${SINK_NAMES}`);
  }
  if (source !== undefined && !sourceOf(source)) {
    throw new UsageError(`--source is '${source}'; allowed: ${SOURCE_NAMES}`);
  }
}
