import type { Clock, Timer } from '../../clock.ts';
import { isVsndError, VsndError } from '../../errors.ts';
import type { EventPort } from '../hypervisor.ts';
import { IdleDelay } from '../idle-delay.ts';
import type { EventChannelDevice } from './addon.ts';
import { withDevice } from './device-error.ts';
import type { Holding, Holdings } from './holdings.ts';

/** The event channels of one open /dev/xen/evtchn. */
export class LinuxEventChannels {
  readonly #device: EventChannelDevice;
  readonly #holding: Holding;
  readonly #holdings: Holdings;
  readonly #clock: Clock;
  readonly #ports = new Map<number, LinuxEventPort>();
  /** Whose handlers have run, and that are masked still. */
  readonly #handled: LinuxEventPort[] = [];

  /** `holdings` end the ports, and after them the device. */
  constructor(device: EventChannelDevice, holdings: Holdings, clock: Clock) {
    this.#device = device;
    this.#clock = clock;
    this.#holdings = holdings;
    this.#holding = holdings.add(() => device.close());
    withDevice(() => device.start(this.#receive));
  }

  async bindUnbound(remoteDomid: number): Promise<EventPort> {
    return this.#hold(withDevice(() => this.#device.bindUnbound(remoteDomid)));
  }

  async bindInterdomain(remoteDomid: number, remotePort: number): Promise<EventPort> {
    return this.#hold(withDevice(() => this.#device.bindInterdomain(remoteDomid, remotePort)));
  }

  /** Where the domain has been restored since, ends the ports and the device, and returns true. */
  forgetIfRestored(): boolean {
    if (!withDevice(() => this.#device.forgetIfRestored())) return false;
    for (const port of this.#ports.values()) void port.unbind();
    void this.#holding.end();
    return true;
  }

  #hold(number: number): EventPort {
    const holding = this.#holdings.add(() => {
      port.unmasking?.cancel();
      this.#ports.delete(number);
      withDevice(() => this.#device.unbind(number));
    });
    const port = new LinuxEventPort(this.#device, number, holding, this.#handled, this.#unmaskHandled);
    this.#ports.set(number, port);
    return port;
  }

  /** The kernel has masked each port that it tells of. */
  readonly #receive = (): void => {
    try {
      const octets = withDevice(() => this.#device.read());
      if (octets === undefined) return;
      const numbers = new Uint32Array(octets.buffer, octets.byteOffset, octets.byteLength >>> 2);
      for (const number of numbers) this.#ports.get(number)?.raise();
      queueMicrotask(this.#unmaskHandled);
    } catch (error) {
      if (!isVsndError(error) || error.errno !== 'EFBIG') throw error;
      this.#recover();
    }
  };

  /** Once the handlers have run: what has come for a port since it was masked makes the kernel tell of it again. */
  readonly #unmaskHandled = (): void => {
    const ready = this.#handled.splice(0).filter((port) => {
      const delay = port.idleDelay.afterHandling();
      if (delay > 0) port.unmasking = this.#clock.after(delay, () => this.#unmask([port]));
      return delay === 0;
    });
    this.#unmask(ready);
  };

  #unmask(ports: readonly LinuxEventPort[]): void {
    const numbers = ports.filter(({ isActive }) => isActive).map(({ port }) => port);
    if (numbers.length === 0) return;
    withDevice(() => this.#device.write(new Uint8Array(Uint32Array.from(numbers).buffer)));
  }

  /** The kernel's queue of ports has overflowed, and is lost: any port may have been notified and masked. */
  #recover(): void {
    withDevice(() => {
      this.#device.reset();
      this.#device.start(this.#receive);
    });
    for (const port of this.#ports.values()) port.raise();
    queueMicrotask(this.#unmaskHandled);
  }
}

class LinuxEventPort implements EventPort {
  readonly port: number;
  readonly idleDelay = new IdleDelay();
  /** Runs while the port stays masked after its handler. */
  unmasking: Timer | undefined;
  readonly #device: EventChannelDevice;
  readonly #holding: Holding;
  readonly #handled: LinuxEventPort[];
  readonly #unmaskHandled: () => void;
  #handler: (() => void) | undefined;
  /** It was notified before there was a handler, and stays masked until there is one. */
  #isPending = false;

  /** Puts itself among the `handled` after each notification, and calls `unmaskHandled` where that was not in its turn. */
  constructor(
    device: EventChannelDevice,
    port: number,
    holding: Holding,
    handled: LinuxEventPort[],
    unmaskHandled: () => void,
  ) {
    this.#device = device;
    this.port = port;
    this.#holding = holding;
    this.#handled = handled;
    this.#unmaskHandled = unmaskHandled;
  }

  get isActive(): boolean {
    return this.#holding.active;
  }

  notify(): void {
    this.#check();
    withDevice(() => this.#device.notify(this.port));
  }

  onNotify(handler: () => void): void {
    this.#check();
    this.#handler = handler;
    if (!this.#isPending) return;
    this.#isPending = false;
    this.raise();
    queueMicrotask(this.#unmaskHandled);
  }

  idle(): void {
    this.idleDelay.idle();
  }

  unbind(): Promise<void> {
    return this.#holding.end();
  }

  /** In a microtask of its own: a handler that throws does not keep the other ports' ones from running. */
  raise(): void {
    queueMicrotask(this.#handle);
  }

  readonly #handle = (): void => {
    if (!this.isActive) return;
    this.#isPending = this.#handler === undefined;
    if (this.#isPending) return;
    this.#handled.push(this);
    this.#handler?.();
  };

  #check(): void {
    if (this.isActive) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `event channel port ${this.port} has been unbound`);
  }
}
