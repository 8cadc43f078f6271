/** Where a loudspeaker stands: front, back, side; left, right, centre; and the one for low frequencies. */
export type Speaker = 'FL' | 'FR' | 'FC' | 'LFE' | 'BL' | 'BR' | 'BC' | 'SL' | 'SR';

/** What channels are where nothing says so, by how many there are, in the order of WAVEFORMATEXTENSIBLE. */
export const LAYOUTS: readonly (readonly Speaker[])[] = [
  [],
  ['FC'],
  ['FL', 'FR'],
  ['FL', 'FR', 'FC'],
  ['FL', 'FR', 'BL', 'BR'],
  ['FL', 'FR', 'FC', 'BL', 'BR'],
  ['FL', 'FR', 'FC', 'LFE', 'BL', 'BR'],
  ['FL', 'FR', 'FC', 'LFE', 'BC', 'SL', 'SR'],
  ['FL', 'FR', 'FC', 'LFE', 'BL', 'BR', 'SL', 'SR'],
];

/** -3 dB: what ITU-R BS.775 gives a loudspeaker that is not there to those beside it. */
const HALF_POWER = Math.SQRT1_2;

/** Where a channel goes whose loudspeaker is not there: the first of these all of which are, else by way of the last. */
const SUBSTITUTES: Readonly<Record<Speaker, readonly (readonly Speaker[])[]>> = {
  FL: [['FC']],
  FR: [['FC']],
  FC: [['FL', 'FR']],
  LFE: [[]], // nowhere, as in BS.775
  BL: [['SL'], ['BC'], ['FL']],
  BR: [['SR'], ['BC'], ['FR']],
  SL: [['BL'], ['FL']],
  SR: [['BR'], ['FR']],
  BC: [
    ['BL', 'BR'],
    ['SL', 'SR'],
    ['FL', 'FR'],
  ],
};

/** Of each channel that goes in, the share of each that comes out: `matrix[out][in]`. */
export type MixMatrix = readonly (readonly number[])[];

/**
 * How `from` channels become `to`. A loudspeaker that both have keeps its channel; others go to those nearest, at -3 dB; mono
 * goes to both front ones in full. Turned down, all alike, as far as it takes for nothing to clip. Beyond 8 channels nothing
 * says what they are: channel by channel, and those that are too many are dropped.
 */
export function mixMatrix(from: number, to: number): MixMatrix {
  const [sources, targets] = [LAYOUTS[from], LAYOUTS[to]];
  return sources && targets ? mixLayouts(sources, targets) : oneToOne(from, to);
}

/** As {@link mixMatrix}, of channels that are where somebody says. */
export function mixLayouts(sources: readonly Speaker[], targets: readonly Speaker[]): MixMatrix {
  if (sources.length === 1) {
    return targets.map((target) => [Number(targets.length === 1 || target === 'FL' || target === 'FR')]);
  }
  const matrix = targets.map((target) => sources.map((source) => share(source, target, targets)));
  const loudest = Math.max(1, ...matrix.map(sum));
  return matrix.map((row) => row.map((part) => part / loudest));
}

/** Whether each channel that comes out is one that went in, or silence: no bits are lost. */
export function isExact(matrix: MixMatrix): boolean {
  return matrix.every((row) => row.every((part) => part === 0 || part === 1) && sum(row) <= 1);
}

/** Mixes interleaved samples. */
export function mix(samples: Float64Array, matrix: MixMatrix): Float64Array {
  const from = matrix[0]?.length ?? 1;
  const to = matrix.length;
  const mixed = new Float64Array((samples.length / from) * to);
  matrix.forEach((row, out) => {
    row.forEach((part, channel) => {
      if (part === 0) return;
      for (let read = channel, write = out; read < samples.length; read += from, write += to) {
        mixed[write] = (mixed[write] as number) + (samples[read] as number) * part;
      }
    });
  });
  return mixed;
}

function oneToOne(from: number, to: number): MixMatrix {
  return Array.from({ length: to }, (_, out) =>
    Array.from({ length: from }, (_, channel) => Number(channel === out)),
  );
}

/** What of `source` `target` gets. */
function share(source: Speaker, target: Speaker, targets: readonly Speaker[]): number {
  if (source === target) return 1;
  if (targets.includes(source)) return 0;
  const choices = SUBSTITUTES[source];
  const chosen =
    choices.find((group) => group.every((speaker) => targets.includes(speaker))) ?? choices.at(-1) ?? [];
  return HALF_POWER * sum(chosen.map((speaker) => share(speaker, target, targets)));
}

function sum(parts: readonly number[]): number {
  return parts.reduce((total, part) => total + part, 0);
}
