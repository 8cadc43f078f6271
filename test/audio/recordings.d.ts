export interface Signal {
  readonly bits: number;
  readonly rate: number;
  readonly channels: number;
  readonly frames: number;
  readonly samples: Int32Array;
}

type Name = 'noise8' | 'noise16' | 'noise20' | 'noise24' | 'sweep44' | 'sweep48' | 'sweep22' | 'tones';

export const TONES: readonly number[];
export const SIGNALS: Readonly<Record<Name, Signal>>;
export function wavOf(signal: Signal): Buffer;
