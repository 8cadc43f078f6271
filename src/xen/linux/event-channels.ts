import type { Clock, Timer } from '../../clock.ts';
import { isVsndError, VsndError } from '../../errors.ts';
import type { Holding, ReleaseStack } from '../../release-stack.ts';
import { type EventPort, PAGE_SIZE } from '../hypervisor.ts';
import { IdleDelay } from '../idle-delay.ts';
import type { EventChannelDevice } from './addon.ts';
import { deviceError, withDevice } from './device-error.ts';

/** Bytes of a port's number, as the device gives and takes it. */
const NUMBER_SIZE = 4;

/** The event channels of one open /dev/xen/evtchn. A wake allocates nothing: it may come a thousand times a second. */
export class LinuxEventChannels {
  readonly #device: EventChannelDevice;
  readonly #holding: Holding;
  readonly #releases: ReleaseStack;
  readonly #clock: Clock;
  readonly #ports = new Map<number, LinuxEventPort>();
  /** What the last read has given, of which those stay that are to be unmasked. */
  readonly #numbers = new Uint32Array(PAGE_SIZE / NUMBER_SIZE);
  /** Its first so many numbers, as bytes. */
  readonly #firstNumbers: Uint8Array[] = [];

  /** `releases` end the ports, and after them the device. */
  constructor(device: EventChannelDevice, releases: ReleaseStack, clock: Clock) {
    this.#device = device;
    this.#clock = clock;
    this.#releases = releases;
    this.#holding = releases.push(() => device.close());
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
    const holding = this.#releases.push(() => {
      port.unmasking?.cancel();
      this.#ports.delete(number);
      withDevice(() => this.#device.unbind(number));
    });
    const port = new LinuxEventPort(this.#device, number, holding, this.#handleAlone, (port) =>
      this.#unmaskAlone(port),
    );
    this.#ports.set(number, port);
    return port;
  }

  /** The kernel has masked each port that it tells of; a page is the most that it gives. */
  readonly #receive = (): void => {
    let ready = 0;
    const count = this.#read();
    for (let index = 0; index < count; index++) {
      const number = this.#numbers[index] ?? 0;
      const port = this.#ports.get(number);
      if (port !== undefined && this.#call(port)) this.#numbers[ready++] = number;
    }
    this.#unmask(ready);
  };

  #read(): number {
    try {
      return (this.#device.read(this.#first(this.#numbers.length)) ?? 0) / NUMBER_SIZE;
    } catch (cause) {
      const error = deviceError(cause);
      if (!isVsndError(error) || error.errno !== 'EFBIG') throw error;
      this.#recover();
      return 0;
    }
  }

  /** The kernel's queue of ports has overflowed, and is lost: any port may have been notified and masked. */
  #recover(): void {
    withDevice(() => {
      this.#device.reset();
      this.#device.start(this.#receive);
    });
    for (const port of this.#ports.values()) this.#handleAlone(port);
  }

  readonly #handleAlone = (port: LinuxEventPort): void => {
    if (this.#call(port)) this.#unmaskAlone(port);
  };

  /** True where the port is to be unmasked now. A handler that throws keeps no other port's one from running. */
  #call(port: LinuxEventPort): boolean {
    try {
      if (!port.handle()) return false;
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
    const delay = port.idleDelay.afterHandling();
    if (delay > 0) {
      port.unmasking = this.#clock.after(delay, () => {
        port.unmasking = undefined;
        this.#unmaskAlone(port);
      });
    }
    return delay === 0;
  }

  #unmaskAlone({ port }: LinuxEventPort): void {
    if (!this.#ports.has(port)) return;
    this.#numbers[0] = port;
    this.#unmask(1);
  }

  /**
   * The first so many `#numbers`: what has come for a port since it was masked makes the kernel tell of it again. One that has
   * been unbound meanwhile is nothing to the kernel (evtchn_write).
   */
  #unmask(count: number): void {
    if (count === 0 || !this.#holding.active) return;
    try {
      this.#device.write(this.#first(count));
    } catch (error) {
      throw deviceError(error);
    }
  }

  #first(count: number): Uint8Array {
    this.#firstNumbers[count] ??= new Uint8Array(this.#numbers.buffer, 0, count * NUMBER_SIZE);
    return this.#firstNumbers[count];
  }
}

/** One of the ports. */
export class LinuxEventPort implements EventPort {
  readonly port: number;
  readonly idleDelay = new IdleDelay();
  /** Runs while the port stays masked after its handler. */
  unmasking: Timer | undefined;
  readonly #device: EventChannelDevice;
  readonly #holding: Holding;
  readonly #handleLate: (port: LinuxEventPort) => void;
  readonly #unmask: (port: LinuxEventPort) => void;
  #handler: (() => void) | undefined;
  /** It was notified before there was a handler, and stays masked until there is one. */
  #isPending = false;

  /** `handleLate` is called, in a turn of its own, where a notification has waited for its handler. */
  constructor(
    device: EventChannelDevice,
    port: number,
    holding: Holding,
    handleLate: (port: LinuxEventPort) => void,
    unmask: (port: LinuxEventPort) => void,
  ) {
    this.#device = device;
    this.port = port;
    this.#holding = holding;
    this.#handleLate = handleLate;
    this.#unmask = unmask;
  }

  notify(): void {
    this.#check();
    try {
      this.#device.notify(this.port);
    } catch (error) {
      throw deviceError(error);
    }
  }

  onNotify(handler: () => void): void {
    this.#check();
    this.#handler = handler;
    if (!this.#isPending) return;
    this.#isPending = false;
    queueMicrotask(() => this.#handleLate(this));
  }

  idle(): void {
    this.idleDelay.idle();
  }

  /** Ends what {@link idle} has brought about: a thread wants the next notification at once. */
  unmask(): void {
    this.idleDelay.reset();
    if (this.unmasking === undefined) return;
    this.unmasking.cancel();
    this.unmasking = undefined;
    this.#unmask(this);
  }

  unbind(): Promise<void> {
    return this.#holding.end();
  }

  /** False where the port stays masked: nobody is there to handle the notification, or not yet. */
  handle(): boolean {
    if (!this.#holding.active) return false;
    this.#isPending = this.#handler === undefined;
    this.#handler?.();
    return !this.#isPending;
  }

  #check(): void {
    if (this.#holding.active) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `event channel port ${this.port} has been unbound`);
  }
}
