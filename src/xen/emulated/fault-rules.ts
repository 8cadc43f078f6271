import { VsndError } from '../../errors.ts';

/** What a domain asks of its hypervisor. */
export type HypervisorOperation =
  | 'grant'
  | 'map'
  | 'bindUnbound'
  | 'bindInterdomain'
  | 'forgetIfRestored'
  | 'openXenStore'
  | 'claim';

/** Which of the occasions that a fault concerns it strikes: `count` of them (1), `after` so many (0). */
export interface Occasions {
  /** So many are let pass first; by default 0. */
  after?: number;
  /** So many are struck; by default 1. */
  count?: number;
}

/** The ports of the domain that receives; all of them without `port`. */
export interface PortFilter {
  /** The domain that receives. */
  domid: number;
  /** One of its ports; by default all of them. */
  port?: number;
}

type Rule<T> = T & { after: number; count: number };

/** Faults of one kind, each of which strikes a number of times. */
class Rules<T> {
  readonly #rules: Rule<T>[] = [];

  /** Returns what ends the fault, and says how often it was yet to strike. */
  add(options: T & Occasions): () => number {
    const rule = { after: 0, count: 1, ...options };
    this.#rules.push(rule);
    return () => {
      const { count } = rule;
      rule.count = 0;
      this.#remove(rule);
      return count;
    };
  }

  /** The first fault that the occasion concerns, if this is one of those that it is to strike. */
  strike(concerns: (fault: T) => boolean): T | undefined {
    const rule = this.#rules.find(concerns);
    if (rule === undefined) return undefined;
    if (rule.after > 0) {
      rule.after -= 1;
      return undefined;
    }
    rule.count -= 1;
    if (rule.count <= 0) this.#remove(rule);
    return rule;
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  #remove(rule: Rule<T>): void {
    const index = this.#rules.indexOf(rule);
    if (index !== -1) this.#rules.splice(index, 1);
  }
}

/** Faults of one kind, each of which lasts until it is ended. */
class Conditions<T> {
  readonly #conditions = new Set<T>();

  /** Returns what ends the fault. */
  add(condition: T): () => void {
    this.#conditions.add(condition);
    return () => {
      this.#conditions.delete(condition);
    };
  }

  some(concerns: (condition: T) => boolean): boolean {
    for (const condition of this.#conditions) if (concerns(condition)) return true;
    return false;
  }

  get isEmpty(): boolean {
    return this.#conditions.size === 0;
  }
}

/** Which faults are switched on, as the machine asks at every step; {@link Faults} is where a test switches them. */
export class FaultRules {
  readonly lost = new Rules<PortFilter>();
  readonly failing = new Rules<{ domid: number; operation?: HypervisorOperation; errno: string }>();
  readonly refused = new Rules<{ domid: number; type?: number; errno: string }>();
  readonly held = new Conditions<PortFilter>();
  /** Domids. */
  readonly muted = new Conditions<{ domid: number }>();
  readonly stopped = new Conditions<{ domid: number | undefined }>();
  /** Bytes of the parts in which a domain has what XenStore sends. */
  readonly chunkSizes = new Map<number, number>();

  /** True for a notification to swallow. */
  isLost(domid: number, port: number): boolean {
    return !this.lost.isEmpty && this.lost.strike((rule) => concerns(rule, domid, port)) !== undefined;
  }

  /** True where notifications wait. */
  isHeld(domid: number, port: number): boolean {
    return !this.held.isEmpty && this.held.some((filter) => concerns(filter, domid, port));
  }

  /** Throws where the operation is to fail. */
  checkOperation(domid: number, operation: HypervisorOperation): void {
    if (operation === 'openXenStore' && this.stopped.some((stopped) => (stopped.domid ?? domid) === domid)) {
      const message = `domain ${domid} cannot reach XenStore: its daemon is gone`;
      throw new VsndError('ERR_VSND_XENSTORE', message, { errno: 'ECONNREFUSED' });
    }
    const failure = this.failing.strike(
      (rule) => rule.domid === domid && (rule.operation ?? operation) === operation,
    );
    if (failure === undefined) return;
    const { errno } = failure;
    throw new VsndError('ERR_VSND_HYPERVISOR', `${operation} in domain ${domid} fails: ${errno}`, { errno });
  }

  /** The errno with which to refuse a request of XenStore. */
  refusal(domid: number, type: number): string | undefined {
    return this.refused.strike((rule) => rule.domid === domid && (rule.type ?? type) === type)?.errno;
  }

  /** True where XenStore is silent. */
  isMuted(domid: number): boolean {
    return this.muted.some((muted) => muted.domid === domid);
  }
}

function concerns(filter: PortFilter, domid: number, port: number): boolean {
  return filter.domid === domid && (filter.port ?? port) === port;
}
