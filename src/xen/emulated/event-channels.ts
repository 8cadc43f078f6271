import type { Clock } from '../../clock.ts';
import { VsndError } from '../../errors.ts';
import type { Holding } from '../../release-stack.ts';
import type { EventPort } from '../hypervisor.ts';
import { EventReceiver } from './event-receiver.ts';
import type { FaultRules } from './fault-rules.ts';

/** What ports need of the machine below them: its time, its one queue, and the faults that are switched on. */
export interface EventRouting {
  readonly clock: Clock;
  readonly rules: FaultRules;
  schedule(step: () => void): void;
}

/** One end of an event channel. */
export class PortState {
  readonly domid: number;
  readonly port: number;
  readonly remoteDomid: number;
  readonly receiver: EventReceiver;
  peer: PortState | undefined;
  readonly #routing: EventRouting;
  #isDead = false;
  /** The handler only passes notifications on to another thread: it need not have a turn of its own. */
  passesOn = false;

  constructor(routing: EventRouting, domid: number, port: number, remoteDomid: number) {
    this.#routing = routing;
    this.domid = domid;
    this.port = port;
    this.remoteDomid = remoteDomid;
    const schedule = (step: () => void) => routing.schedule(step);
    this.receiver = new EventReceiver(routing.clock, schedule, () => routing.rules.isHeld(domid, port));
  }

  /** True from the restore of the domain on: Xen knows nothing of it any more, and its process cannot tell. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** A notification has come; `isInTurn` where it has the turn to itself. */
  raise(isInTurn = false): void {
    if (this.#routing.rules.isLost(this.domid, this.port)) return;
    if (isInTurn || this.passesOn) this.receiver.raiseNow();
    else this.receiver.raise();
  }

  die(): void {
    this.close();
    this.#isDead = true;
  }

  close(): void {
    this.receiver.close();
    // The other end may be bound once more (evtchn_close makes it ECS_UNBOUND).
    if (this.peer?.peer === this) this.peer.peer = undefined;
    this.peer = undefined;
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
    for (const port of this.#ports.values()) port.receiver.deliverSoon();
  }
}

/** A process's hold on a port. */
export class EmulatedPort implements EventPort {
  readonly port: number;
  readonly #state: PortState;
  readonly #holding: Holding;

  /** @internal */
  constructor(state: PortState, holding: Holding) {
    this.port = state.port;
    this.#state = state;
    this.#holding = holding;
  }

  notify(): void {
    this.#check();
    this.#state.peer?.raise();
  }

  /** @internal For a thread whose message this is: the peer is notified in this turn. Nothing where the port has been unbound. */
  notifyNow(): void {
    if (this.#holding.active) this.#state.peer?.raise(true);
  }

  onNotify(handler: () => void): void {
    this.#check();
    this.#state.receiver.listen(handler);
  }

  /** @internal As {@link onNotify}, for a handler that tells another thread: it is called in the turn of the notification. */
  passOn(handler: () => void): void {
    this.#state.passesOn = true;
    this.onNotify(handler);
  }

  idle(): void {
    this.#state.receiver.idle();
  }

  unbind(): Promise<void> {
    return this.#holding.end();
  }

  #check(): void {
    if (this.#holding.active) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `event channel port ${this.port} has been unbound`);
  }
}
