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
      this.#ports.delete(number);
      withDevice(() => this.#device.unbind(number));
    });
    const port = new LinuxEventPort(this.#device, number, holding, (raised) => this.#handle([raised]));
    this.#ports.set(number, port);
    return port;
  }

  /** What is read has been masked by the kernel. */
  readonly #receive = (): void => {
    try {
      const octets = withDevice(() => this.#device.read());
      if (octets === undefined) return;
      const numbers = new Uint32Array(octets.buffer, octets.byteOffset, octets.byteLength >>> 2);
      this.#handle(
        [...numbers].map((number) => this.#ports.get(number)).filter((port) => port !== undefined),
      );
    } catch (error) {
      if (!isVsndError(error) || error.errno !== 'EFBIG') throw error;
      this.#recover();
    }
  };

  /** Each in a microtask of its own: a handler that throws does not keep the other ports' ones from running. */
  #handle(raised: readonly LinuxEventPort[]): void {
    const handled: LinuxEventPort[] = [];
    for (const port of raised) {
      queueMicrotask(() => {
        if (port.isHeard) handled.push(port); // one without a handler stays masked until it has one
        port.handle();
      });
    }
    queueMicrotask(() => this.#unmaskHandled(handled));
  }

  /** What has come since a port was read is pending: unmasked, the kernel says so again. */
  #unmaskHandled(handled: readonly LinuxEventPort[]): void {
    const now = handled.filter((port) => {
      const delay = port.idleDelay.afterHandling();
      if (delay > 0) port.unmasking = this.#clock.after(delay, () => this.#unmask([port]));
      return delay === 0;
    });
    this.#unmask(now);
  }

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
    this.#handle([...this.#ports.values()]);
  }
}

class LinuxEventPort implements EventPort {
  readonly port: number;
  readonly idleDelay = new IdleDelay();
  /** Runs while the port stays masked after its handler. */
  unmasking: Timer | undefined;
  readonly #device: EventChannelDevice;
  readonly #holding: Holding;
  readonly #handleSoon: (port: LinuxEventPort) => void;
  #handler: (() => void) | undefined;
  /** It was notified before there was a handler. */
  #isPending = false;

  constructor(
    device: EventChannelDevice,
    port: number,
    holding: Holding,
    handleSoon: (port: LinuxEventPort) => void,
  ) {
    this.#device = device;
    this.port = port;
    this.#holding = holding;
    this.#handleSoon = handleSoon;
  }

  get isActive(): boolean {
    return this.#holding.active;
  }

  get isHeard(): boolean {
    return this.#handler !== undefined;
  }

  notify(): void {
    this.#check();
    withDevice(() => this.#device.notify(this.port));
  }

  onNotify(handler: () => void): void {
    this.#check();
    this.#handler = handler;
    if (this.#isPending) this.#handleSoon(this);
    this.#isPending = false;
  }

  idle(): void {
    this.idleDelay.idle();
  }

  unbind(): Promise<void> {
    this.unmasking?.cancel();
    return this.#holding.end();
  }

  /** It has been notified. */
  handle(): void {
    if (!this.isActive) return;
    if (this.#handler === undefined) this.#isPending = true;
    else this.#handler();
  }

  #check(): void {
    if (this.isActive) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `event channel port ${this.port} has been unbound`);
  }
}
