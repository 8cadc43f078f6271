import { resolve } from 'node:path';

/**
 * The names of the WAV files that one backend has written, so that no take is ever written over another one: neither the
 * next of the same stream, nor that of another stream or guest whose file is called as a numbered take is.
 */
export class WavTakes {
  readonly #written = new Set<string>();
  /** The last number of those with a number, by the name without. */
  readonly #numbers = new Map<string, number>();

  /**
   * Opens the next take of `file`: under that name, else with -2, -3 and so on before its ending, the first that no take
   * has had. One that cannot be opened has not had its name.
   */
  open<T>(file: string, openFile: (path: string) => T): T {
    const base = resolve(file);
    let number = this.#numbers.get(base) ?? 1;
    while (this.#written.has(numbered(base, number))) number += 1;
    const opened = openFile(numbered(file, number));
    this.#written.add(numbered(base, number));
    if (number > 1) this.#numbers.set(base, number);
    return opened;
  }
}

function numbered(path: string, take: number): string {
  return take === 1 ? path : path.replace(/(\.[^./]*)?$/, `-${take}$1`);
}
