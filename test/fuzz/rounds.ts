import { performance } from 'node:perf_hooks';

/** Seconds for each target: a moment among the other tests, more by `npm run fuzz`. */
const SECONDS = Number(process.env['VSND_FUZZ_SECONDS'] ?? 1);
const SEED = process.env['VSND_FUZZ_SEED'];

/** Bytes of heap that rounds may leave behind, all together. */
const MOST_LEFT = 100e6;

/** How long a target may run, ms. */
export const FUZZ_TIMEOUT = SECONDS * 1000 + 60_000;

/** Numbers that only a seed decides. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  /** A u32. */
  next(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  /** 0 to `count` - 1. */
  below(count: number): number {
    return this.next() % count;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** Mostly what is common, sometimes what is at an edge, sometimes anything. */
  u32(): number {
    const edges = [0, 1, 3, 4, 31, 32, 33, 62, 63, 64, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
    return this.pick([() => this.below(0x3000), () => this.pick(edges), () => this.next()])();
  }

  u64(): bigint {
    const edges = [0n, 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
    if (this.chance(30)) return this.pick(edges);
    return this.chance(70) ? BigInt(this.below(200_000)) : (BigInt(this.next()) << 32n) | BigInt(this.next());
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.next());
  }

  /** Text as it may stand in a XenStore node: sensible, odd, or long. */
  text(): string {
    const odd = [
      '',
      ' ',
      '-1',
      '1e9',
      '0x10',
      '99',
      '4294967295',
      '4294967296',
      'NaN',
      '\0',
      'ä\n',
      'p'.repeat(2000),
    ];
    return this.chance(50) ? this.pick(odd) : String(this.u32());
  }
}

/**
 * Runs rounds, each decided by a number, until the time is over; the first that fails says how to see it again. Says how
 * many there were.
 */
export async function runRounds(target: string, round: (random: Random) => Promise<void>): Promise<number> {
  const first = SEED === undefined ? Date.now() >>> 0 : Number(SEED);
  const end = performance.now() + SECONDS * 1000;
  const heapBefore = heap();
  let rounds = 0;
  do {
    const seed = (first + rounds) >>> 0;
    try {
      await round(new Random(Math.imul(seed, 0x9e37_79b1)));
    } catch (cause) {
      const again = `npm run fuzz -- --target ${target} --seed ${seed}`;
      throw new Error(`round ${rounds} failed; again with: ${again}`, { cause });
    }
    rounds++;
  } while (performance.now() < end && !(SEED !== undefined && SECONDS === 0));
  const left = heap() - heapBefore;
  if (left > MOST_LEFT) throw new Error(`${rounds} rounds have left ${left} bytes on the heap`);
  return rounds;
}

function heap(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed;
}
