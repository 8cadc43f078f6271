/** Something that a process has from its machine until it gives it back, or exits. */
export class Lease {
  readonly #end: () => Promise<void>;
  #ended: Promise<void> | undefined;
  #active = true;

  /** `end` takes it back at once, and resolves when that is done. */
  constructor(end: () => Promise<void>) {
    this.#end = end;
  }

  get active(): boolean {
    return this.#active;
  }

  /** Idempotent. */
  end(): Promise<void> {
    this.#active = false;
    this.#ended ??= this.#end();
    return this.#ended;
  }
}
