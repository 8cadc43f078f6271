import type { Clock, Timer } from '../../clock.ts';
import { VsndError } from '../../errors.ts';
import type { EventPort } from '../hypervisor.ts';
import { IdleDelay } from '../idle-delay.ts';
import type { Lease } from './lease.ts';

/** Where ports ask how to go on: the machine's one queue, and the faults that a test has switched on. */
export interface EventRouting {
  readonly clock: Clock;
  schedule(step: () => void): void;
  /** True for a notification that gets lost on its way to this port. */
  isLost(domid: number, port: number): boolean;
  /** True where notifications wait for a test to let them through. */
  isHeld(domid: number, port: number): boolean;
}

/** One end of an event channel, with the pending and the mask bit that /dev/xen/evtchn works with. */
export class PortState {
  readonly domid: number;
  readonly port: number;
  readonly remoteDomid: number;
  peer: PortState | undefined;
  readonly #routing: EventRouting;
  #pending = false;
  /** Nobody reads the events before there is a handler. */
  #masked = true;
  #scheduled = false;
  #dead = false;
  #handler: (() => void) | undefined;
  readonly #idleDelay = new IdleDelay();
  #unmasking: Timer | undefined;
  /** Who handles the notification will say when he has done so. */
  #isDeferred = false;

  constructor(routing: EventRouting, domid: number, port: number, remoteDomid: number) {
    this.#routing = routing;
    this.domid = domid;
    this.port = port;
    this.remoteDomid = remoteDomid;
  }

  /** True from the restore of the domain on: Xen knows nothing of it any more, and its process cannot tell. */
  get isDead(): boolean {
    return this.#dead;
  }

  /** Sets the pending bit; what is pending already takes any number of further notifications in. */
  raise(): void {
    if (this.#routing.isLost(this.domid, this.port)) return;
    this.#pending = true;
    this.deliverSoon();
  }

  /** Sets the handler and unmasks. */
  listen(handler: () => void): void {
    this.#handler = handler;
    this.#unmask();
  }

  /** The notification that is being handled leads to nothing. */
  idle(): void {
    this.#idleDelay.idle();
  }

  /** The handler that runs only passes the notification on: the port stays masked until {@link handled}. */
  defer(): void {
    this.#isDeferred = true;
  }

  /** The notification has been handled. */
  handled(): void {
    this.#isDeferred = false;
    const delay = this.#idleDelay.afterHandling();
    if (delay === 0) this.#unmask();
    else this.#unmasking = this.#routing.clock.after(delay, () => this.#unmask());
  }

  die(): void {
    this.close();
    this.#dead = true;
  }

  close(): void {
    this.#handler = undefined;
    this.#unmasking?.cancel();
    this.#masked = true;
    this.#pending = false;
    // The other end may be bound once more (evtchn_close makes it ECS_UNBOUND).
    if (this.peer?.peer === this) this.peer.peer = undefined;
    this.peer = undefined;
  }

  deliverSoon(): void {
    if (!this.#ready || this.#scheduled) return;
    this.#scheduled = true;
    this.#routing.schedule(this.#deliver);
  }

  get #ready(): boolean {
    return this.#pending && !this.#masked && !this.#routing.isHeld(this.domid, this.port);
  }

  readonly #deliver = (): void => {
    this.#scheduled = false;
    if (!this.#ready) return;
    this.#pending = false;
    this.#masked = true;
    try {
      this.#handler?.();
    } finally {
      if (!this.#isDeferred) this.handled();
    }
  };

  #unmask(): void {
    if (this.#handler === undefined) return;
    this.#masked = false;
    this.deliverSoon();
  }
}

/** The ports of one domain, numbered from 1 with the lowest free number first, as Xen does. */
export class PortTable {
  readonly #domid: number;
  readonly #routing: EventRouting;
  readonly #ports = new Map<number, PortState>();

  constructor(domid: number, routing: EventRouting) {
    this.#domid = domid;
    this.#routing = routing;
  }

  /** EVTCHNOP_alloc_unbound. */
  bindUnbound(remoteDomid: number): PortState {
    let number = 1;
    while (this.#ports.has(number)) number++;
    const port = new PortState(this.#routing, this.#domid, number, remoteDomid);
    this.#ports.set(number, port);
    return port;
  }

  /** EVTCHNOP_bind_interdomain; `remote` is undefined where there is no such domain. */
  bindInterdomain(remoteDomid: number, remote: PortTable | undefined, remotePort: number): PortState {
    const bindError = (reason: string, errno: string) =>
      new VsndError(
        'ERR_VSND_HYPERVISOR',
        `cannot bind port ${remotePort} of domain ${remoteDomid}: ${reason}`,
        {
          errno,
        },
      );
    if (remote === undefined) throw bindError('there is no such domain', 'ESRCH');
    const peer = remote.#ports.get(remotePort);
    if (peer === undefined) throw bindError('there is no such port', 'EINVAL');
    if (peer.peer !== undefined) throw bindError('it is bound already', 'EINVAL');
    if (peer.remoteDomid !== this.#domid) throw bindError(`it is for domain ${peer.remoteDomid}`, 'EINVAL');
    const port = this.bindUnbound(remoteDomid);
    port.peer = peer;
    peer.peer = port;
    // Xen does so, because what was sent to the unbound port is lost.
    port.raise();
    return port;
  }

  close(port: PortState): void {
    port.close();
    this.#ports.delete(port.port);
  }

  /** The domain has been restored. */
  abandon(): void {
    for (const port of this.#ports.values()) port.die();
  }

  /** Lets through what has been held. */
  deliverPending(): void {
    for (const port of this.#ports.values()) port.deliverSoon();
  }
}

/** A process's hold on a port. */
export class EmulatedPort implements EventPort {
  readonly port: number;
  readonly #state: PortState;
  readonly #lease: Lease;

  constructor(state: PortState, lease: Lease) {
    this.port = state.port;
    this.#state = state;
    this.#lease = lease;
  }

  notify(): void {
    this.#check();
    this.#state.peer?.raise();
  }

  onNotify(handler: () => void): void {
    this.#check();
    this.#state.listen(handler);
  }

  idle(): void {
    this.#state.idle();
  }

  /** As {@link onNotify}, but the port stays masked from a notification on until {@link handled} is called. */
  onNotifyUntilHandled(handler: () => void): void {
    this.onNotify(() => {
      this.#state.defer();
      handler();
    });
  }

  /** See {@link onNotifyUntilHandled}. */
  handled({ isIdle }: { isIdle: boolean }): void {
    if (!this.#lease.active) return;
    if (isIdle) this.#state.idle();
    this.#state.handled();
  }

  unbind(): Promise<void> {
    return this.#lease.end();
  }

  #check(): void {
    if (this.#lease.active) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `event channel port ${this.port} has been unbound`);
  }
}
