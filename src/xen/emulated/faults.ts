import { VsndError } from '../../errors.ts';
import type { HypervisorOperation, Occasions, PortFilter } from './fault-rules.ts';
import type { EmulatedXen } from './xen.ts';

/** What can go wrong, for a test to switch on. */
export class Faults {
  readonly #xen: EmulatedXen;

  /** @internal */
  constructor(xen: EmulatedXen) {
    this.#xen = xen;
  }

  /** The domain is gone from one instant to the next, with all it has; its XenStore nodes stay. */
  killDomain(domid: number): void {
    this.#xen.destroyDomain(domid);
  }

  /** Notifications that never arrive at the domain. */
  loseNotifications(options: PortFilter & Occasions): void {
    this.#xen.rules.lost.add(options);
  }

  /**
   * Delays the domain's notifications until the function returned is called; each port then has one, merged.
   */
  holdNotifications(filter: PortFilter): () => void {
    const held = { ...filter };
    const end = this.#xen.rules.held.add(held);
    return () => {
      end();
      this.#xen.domains.get(held.domid)?.ports.deliverPending();
    };
  }

  /** Hypervisor operations of the domain fail with `errno` (ENOMEM), before they have done anything. */
  failOperations(
    options: { domid: number; operation?: HypervisorOperation; errno?: string } & Occasions,
  ): void {
    this.#xen.rules.failing.add({ errno: 'ENOMEM', ...options });
  }

  /**
   * The domain's XenStore requests of one `type` of XsType are refused; a refused end of a transaction ends
   * it. Returns what ends this, and says how often a request is yet to be refused.
   */
  refuseXenStore(options: { domid: number; type?: number; errno: string } & Occasions): () => number {
    return this.#xen.rules.refused.add(options);
  }

  /** XenStore neither answers the domain nor tells it anything, until the function returned is called. */
  muteXenStore(domid: number): () => void {
    return this.#xen.rules.muted.add({ domid });
  }

  /** What XenStore sends to the domain arrives in parts of `bytes`. */
  splitXenStore(domid: number, bytes: number): void {
    this.#xen.rules.chunkSizes.set(domid, bytes);
  }

  /** Bytes that nobody asked for, from XenStore to each of the domain's connections: any number, and no message of xs_wire.h unless they are one. */
  injectXenStore(domid: number, bytes: Uint8Array): void {
    for (const connection of this.#xen.store.connectionsOf(domid)) connection.deliver(bytes);
  }

  /** Ends the domain's XenStore connections from XenStore's side. */
  closeXenStore(domid: number): void {
    const error = new VsndError('ERR_VSND_XENSTORE', 'the XenStore connection was lost', { errno: 'EIO' });
    const { store } = this.#xen;
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
    const end = this.#xen.rules.stopped.add({ domid });
    for (const each of domid === undefined ? [...this.#xen.domains.keys()] : [domid])
      this.closeXenStore(each);
    return end;
  }

  /** `count` events that nobody caused, for each of the domain's watches that concern `path` (absolute). */
  watchStorm({ domid, path, count }: { domid: number; path: string; count: number }): void {
    for (let index = 0; index < count; index++) this.#xen.store.fireFor(domid, path);
  }
}
