import { VsndError } from '../../errors.ts';

/** One thing that this process has from the kernel. */
export interface Holding {
  /** False from the moment in which it is given back. */
  readonly active: boolean;
  /** Gives it back. Idempotent. */
  end(): Promise<void>;
}

/** What a hypervisor's user has from the kernel: given back one by one, or all at once, last one first. */
export class Holdings {
  readonly #held = new Set<Holding>();
  #open = true;

  get isOpen(): boolean {
    return this.#open;
  }

  /** Throws ERR_VSND_INVALID_STATE after endAll(). */
  assertOpen(): void {
    if (!this.#open) throw new VsndError('ERR_VSND_INVALID_STATE', 'this connection to Xen has been closed');
  }

  /** `release` is called once. */
  add(release: () => void | Promise<void>): Holding {
    let ended: Promise<void> | undefined;
    const end = async () => {
      this.#held.delete(holding);
      await release();
    };
    const holding: Holding = {
      get active() {
        return ended === undefined;
      },
      end: () => {
        ended ??= end();
        return ended;
      },
    };
    this.#held.add(holding);
    return holding;
  }

  /** Gives everything back, also what follows something that failed; then throws the first failure. */
  async endAll(): Promise<void> {
    this.#open = false;
    const endings = [...this.#held].reverse().map((holding) => holding.end());
    const failed = (await Promise.allSettled(endings)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }
}
