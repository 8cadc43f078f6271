/** PA_VOLUME_NORM: 100 %, 0 dB. */
export const NORMAL_VOLUME = 0x1_0000;

/** PA_VOLUME_MAX */
export const LARGEST_VOLUME = 0x7fff_ffff;

/** Volumes are cubes: 50 % is an eighth, -18 dB. */
export function factorOf(volume: number): number {
  return (volume / NORMAL_VOLUME) ** 3;
}

/** dB; minus infinity for silence. */
export function decibelsOf(volume: number): number {
  return 60 * Math.log10(volume / NORMAL_VOLUME);
}

/** The volume of so many dB. */
export function volumeOf(decibels: number): number {
  return Math.min(LARGEST_VOLUME, Math.round(NORMAL_VOLUME * 10 ** (decibels / 60)));
}
