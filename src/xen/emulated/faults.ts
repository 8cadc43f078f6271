import { VsndError } from '../../errors.ts';
import type { EmulatedMachine } from './machine.ts';

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
  after?: number;
  count?: number;
}

/** The ports of the domain that receives; all of them without `port`. */
export interface PortFilter {
  domid: number;
  port?: number;
}

type Rule<T> = T & { after: number; count: number };

/** What can go wrong, for a test to switch on. */
export class Faults {
  readonly #machine: EmulatedMachine;
  readonly #lost: Rule<PortFilter>[] = [];
  readonly #failing: Rule<{ domid: number; operation?: HypervisorOperation; errno: string }>[] = [];
  readonly #refused: Rule<{ domid: number; type?: number; errno: string }>[] = [];
  readonly #held = new Set<PortFilter>();
  readonly #muted = new Set<{ domid: number }>();
  readonly #stopped = new Set<{ domid: number | undefined }>();
  readonly #chunkSizes = new Map<number, number>();

  constructor(machine: EmulatedMachine) {
    this.#machine = machine;
  }

  /** The domain is gone from one instant to the next, with all it has; its XenStore nodes stay. */
  killDomain(domid: number): void {
    this.#machine.destroyDomain(domid);
  }

  /** Notifications that never arrive at the domain. */
  loseNotifications(options: PortFilter & Occasions): void {
    this.#lost.push(rule(options));
  }

  /**
   * Delays the domain's notifications until the function returned is called; each port then has one, merged.
   */
  holdNotifications(filter: PortFilter): () => void {
    const held = { ...filter };
    this.#held.add(held);
    return () => {
      this.#held.delete(held);
      this.#machine.deliverPending(held.domid);
    };
  }

  /** Hypervisor operations of the domain fail with `errno` (ENOMEM), before they have done anything. */
  failOperations(
    options: { domid: number; operation?: HypervisorOperation; errno?: string } & Occasions,
  ): void {
    this.#failing.push(rule({ errno: 'ENOMEM', ...options }));
  }

  /**
   * The domain's XenStore requests of one `type` of XsType are refused; a refused end of a transaction ends
   * it. Returns what ends this, and says how often a request is yet to be refused.
   */
  refuseXenStore(options: { domid: number; type?: number; errno: string } & Occasions): () => number {
    const refusal = rule(options);
    this.#refused.push(refusal);
    return () => {
      const { count } = refusal;
      refusal.count = 0;
      const index = this.#refused.indexOf(refusal);
      if (index !== -1) this.#refused.splice(index, 1);
      return count;
    };
  }

  /** XenStore neither answers the domain nor tells it anything, until the function returned is called. */
  muteXenStore(domid: number): () => void {
    const muted = { domid };
    this.#muted.add(muted);
    return () => {
      this.#muted.delete(muted);
    };
  }

  /** What XenStore sends to the domain arrives in parts of `octets`. */
  splitXenStore(domid: number, octets: number): void {
    this.#chunkSizes.set(domid, octets);
  }

  /** Octets that nobody asked for, from XenStore to each of the domain's connections: any number, and no message of xs_wire.h unless they are one. */
  injectXenStore(domid: number, octets: Uint8Array): void {
    for (const connection of this.#machine.store.connectionsOf(domid)) connection.deliver(octets);
  }

  /** Ends the domain's XenStore connections from XenStore's side. */
  closeXenStore(domid: number): void {
    const error = new VsndError('ERR_VSND_XENSTORE', 'the XenStore connection was lost', { errno: 'EIO' });
    const { store } = this.#machine;
    for (const connection of store.connectionsOf(domid)) {
      store.disconnect(connection);
      connection.onLost(error);
    }
  }

  /**
   * The daemon is gone for the domain, or for all without one: no connection is left, and none can be made, until the
   * function returned is called. What was in the store is there again then, with what the toolstack has done meanwhile.
   */
  stopXenStore(domid?: number): () => void {
    const stopped = { domid };
    this.#stopped.add(stopped);
    for (const each of domid === undefined ? this.#machine.domids : [domid]) this.closeXenStore(each);
    return () => {
      this.#stopped.delete(stopped);
    };
  }

  /** `count` events that nobody caused, for each of the domain's watches that concern `path` (absolute). */
  watchStorm({ domid, path, count }: { domid: number; path: string; count: number }): void {
    for (let index = 0; index < count; index++) this.#machine.store.fireFor(domid, path);
  }

  /** For the machine: true for a notification to swallow. */
  isLost(domid: number, port: number): boolean {
    return this.#lost.length > 0 && strike(this.#lost, (rule) => concerns(rule, domid, port)) !== undefined;
  }

  /** For the machine: true where notifications wait. */
  isHeld(domid: number, port: number): boolean {
    for (const filter of this.#held) if (concerns(filter, domid, port)) return true;
    return false;
  }

  /** For the machine: throws where the operation is to fail. */
  checkOperation(domid: number, operation: HypervisorOperation): void {
    const isStopped = [...this.#stopped].some((stopped) => (stopped.domid ?? domid) === domid);
    if (isStopped && operation === 'openXenStore') {
      const message = `domain ${domid} cannot reach XenStore: its daemon is gone`;
      throw new VsndError('ERR_VSND_XENSTORE', message, { errno: 'ECONNREFUSED' });
    }
    const failure = strike(
      this.#failing,
      (rule) => rule.domid === domid && (rule.operation ?? operation) === operation,
    );
    if (failure === undefined) return;
    const { errno } = failure;
    throw new VsndError('ERR_VSND_HYPERVISOR', `${operation} in domain ${domid} fails: ${errno}`, { errno });
  }

  /** For the transport: the errno with which to refuse a request. */
  refusal(domid: number, type: number): string | undefined {
    return strike(this.#refused, (rule) => rule.domid === domid && (rule.type ?? type) === type)?.errno;
  }

  /** For the transport: true where XenStore is silent. */
  isMuted(domid: number): boolean {
    for (const muted of this.#muted) if (muted.domid === domid) return true;
    return false;
  }

  /** For the transport: the octets of a part. */
  chunkSize(domid: number): number | undefined {
    return this.#chunkSizes.get(domid);
  }
}

function rule<T extends Occasions>(options: T): Rule<T> {
  return { after: 0, count: 1, ...options };
}

function concerns(filter: PortFilter, domid: number, port: number): boolean {
  return filter.domid === domid && (filter.port ?? port) === port;
}

/** The first rule that the occasion concerns, if this is one of those that it is to strike. */
function strike<T>(rules: Rule<T>[], concerns: (rule: Rule<T>) => boolean): Rule<T> | undefined {
  const found = rules.find(concerns);
  if (found === undefined) return undefined;
  if (found.after > 0) {
    found.after -= 1;
    return undefined;
  }
  found.count -= 1;
  if (found.count <= 0) rules.splice(rules.indexOf(found), 1);
  return found;
}
