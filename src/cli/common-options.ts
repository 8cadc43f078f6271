import { type OptionValues, UsageError } from './arguments.ts';

/** Options that several commands have. */

export const CARD = { argument: 'N', help: 'the card with this number; without it, the first one' } as const;

/** Those by which a command says whose card it means: one that another process has open. */
export const OWNER_OPTIONS = {
  card: { argument: 'N', help: 'the card with this number; without it, the first one in use' },
  emulate: { help: 'the card of a process that runs with --emulate' },
  socket: { argument: 'FILE', help: 'the card behind this control socket' },
} as const;

/** Those by which a command that plays takes an emulated card, and says where its sound goes. */
export const EMULATION = {
  emulate: { help: 'use an emulated Xen machine inside this process' },
  sink: {
    argument: 'SINK',
    help: `where the emulated card's sound goes; without it, to the speaker if that is installed and opens, else
      to null`,
    values: {
      speaker: "this machine's speakers, by the npm package speaker",
      'wav:FILE': 'a WAV file: what the card heard, bit for bit',
      null: 'nowhere, at the pace of a real card',
    },
  },
  fast: { help: 'let the emulated card run as fast as it can' },
} as const;

/** What {@link EMULATION} says; undefined without --emulate. Throws {@link UsageError}. */
export function parseEmulation({
  emulate,
  sink,
  fast = false,
}: OptionValues<typeof EMULATION>): { sink: string | undefined; fast: boolean } | undefined {
  if (!emulate && (sink !== undefined || fast)) {
    throw new UsageError(`${fast ? '--fast' : '--sink'} needs --emulate`);
  }
  if (sink !== undefined && !/^(null|speaker|wav:.+)$/s.test(sink)) {
    throw new UsageError(`--sink is '${sink}'; allowed: null, speaker, wav:FILE`);
  }
  return emulate ? { sink, fast } : undefined;
}
