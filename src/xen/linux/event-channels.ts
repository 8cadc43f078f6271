import { isVsndError, VsndError } from '../../errors.ts';
import type { EventPort } from '../hypervisor.ts';
import type { EventChannelDevice } from './addon.ts';
import { withDevice } from './device-error.ts';
import type { Holding, Holdings } from './holdings.ts';

/** The event channels of one open /dev/xen/evtchn. */
export class LinuxEventChannels {
  readonly #device: EventChannelDevice;
  readonly #holding: Holding;
  readonly #holdings: Holdings;
  readonly #ports = new Map<number, LinuxEventPort>();

  /** `holdings` end the ports, and after them the device. */
  constructor(device: EventChannelDevice, holdings: Holdings) {
    this.#device = device;
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
    const port = new LinuxEventPort(this.#device, number, holding);
    this.#ports.set(number, port);
    return port;
  }

  readonly #receive = (): void => {
    try {
      const octets = withDevice(() => this.#device.read());
      if (octets === undefined) return;
      // First: a notification that comes while a handler runs must lead to another run.
      withDevice(() => this.#device.write(octets));
      const numbers = new Uint32Array(octets.buffer, octets.byteOffset, octets.byteLength >>> 2);
      for (const number of numbers) this.#ports.get(number)?.raise();
    } catch (error) {
      if (!isVsndError(error) || error.errno !== 'EFBIG') throw error;
      this.#recover();
    }
  };

  /** The kernel's queue of ports has overflowed, and is lost: any port may have been notified and masked. */
  #recover(): void {
    withDevice(() => {
      this.#device.reset();
      const octets = new Uint8Array(Uint32Array.from(this.#ports.keys()).buffer);
      if (octets.length > 0) this.#device.write(octets);
      this.#device.start(this.#receive);
    });
    for (const port of this.#ports.values()) port.raise();
  }
}

class LinuxEventPort implements EventPort {
  readonly port: number;
  readonly #device: EventChannelDevice;
  readonly #holding: Holding;
  #handler: (() => void) | undefined;
  #pending = false;
  #scheduled = false;

  constructor(device: EventChannelDevice, port: number, holding: Holding) {
    this.#device = device;
    this.port = port;
    this.#holding = holding;
  }

  notify(): void {
    this.#check();
    withDevice(() => this.#device.notify(this.port));
  }

  onNotify(handler: () => void): void {
    this.#check();
    this.#handler = handler;
    this.#deliverSoon();
  }

  unbind(): Promise<void> {
    return this.#holding.end();
  }

  /** What is pending already takes any number of further notifications in. */
  raise(): void {
    this.#pending = true;
    this.#deliverSoon();
  }

  /** In a microtask of its own: a handler that throws does not keep the other ports' ones from running. */
  #deliverSoon(): void {
    if (!this.#pending || this.#handler === undefined || this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#holding.active) return;
      this.#pending = false;
      this.#handler?.();
    });
  }

  #check(): void {
    if (this.#holding.active) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `event channel port ${this.port} has been unbound`);
  }
}
