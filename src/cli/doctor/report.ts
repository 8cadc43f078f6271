import { isVsndError } from '../../errors.ts';

/** What one check has found, as `vsnd doctor --json` prints it. */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'problem' | 'skipped';
  readonly message: string;
  /** What to do about a problem. */
  readonly fix?: string;
}

/** A check that has been made. */
export interface Outcome<T> {
  /** What it has found; where that was a problem, the check that asks for it is skipped. */
  need(): T;
}

/** What a check gives that is passed. */
export interface Passed {
  readonly message: string;
  /** What is to be fixed nevertheless, one finding each. */
  readonly warnings?: readonly string[];
}

/** For a check to throw. */
export class Problem extends Error {
  readonly fix: string;

  constructor(message: string, fix: string) {
    super(message);
    this.fix = fix;
  }
}

/** A check cannot be made: `check`, on which it builds, has not been passed. */
class Unmet extends Error {
  readonly check: string;

  constructor(check: string) {
    super(`needs ${check}`);
    this.check = check;
  }
}

/** The findings of checks that build on each other, in the order in which they are made. */
export class Report {
  readonly findings: Finding[] = [];
  readonly #signal: AbortSignal;
  readonly #onFinding: (finding: Finding) => void;

  /** `onFinding` hears of each finding as soon as it is made; when `signal` aborts, no further check is made. */
  constructor(signal: AbortSignal, onFinding: (finding: Finding) => void = () => {}) {
    this.#signal = signal;
    this.#onFinding = onFinding;
  }

  get problems(): number {
    return this.findings.filter(({ status }) => status === 'problem').length;
  }

  /**
   * Makes a check. It is passed when `examine` returns; a {@link Problem} that it throws is one, and so is an error of
   * vsnd's or of the system's, against which `fix` helps. Rejects with any other error, and with an AbortError.
   */
  async check<T extends Passed>(
    check: string,
    examine: () => T | Promise<T>,
    fix?: string,
  ): Promise<Outcome<T>> {
    this.#signal.throwIfAborted();
    try {
      const found = await examine();
      this.#add({ check, status: 'ok', message: found.message });
      for (const message of found.warnings ?? [])
        this.#add({ check, status: 'warning', message, ...(fix !== undefined && { fix }) });
      return { need: () => found };
    } catch (error) {
      this.#add({ check, ...describe(error, fix) });
      const culprit = error instanceof Unmet ? error.check : check;
      return {
        need: () => {
          throw new Unmet(culprit);
        },
      };
    }
  }

  #add(finding: Finding): void {
    this.findings.push(finding);
    this.#onFinding(finding);
  }
}

/** Throws what is neither a problem nor a reason to skip a check. */
function describe(error: unknown, fix: string | undefined): Omit<Finding, 'check'> {
  if (error instanceof Unmet) return { status: 'skipped', message: error.message };
  if (error instanceof Problem) return { status: 'problem', message: error.message, fix: error.fix };
  if (isVsndError(error) || (error instanceof Error && 'syscall' in error)) {
    return { status: 'problem', message: error.message, ...(fix !== undefined && { fix }) };
  }
  throw error;
}
