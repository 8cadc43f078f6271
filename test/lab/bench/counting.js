// Counts at the backend's end, outside of it: its event channels, and the device behind its null sink.
import { nullDevice } from '../../../dist/backend/devices.js';
import { xl } from '../dom0/guest.js';

/** What one stream did from OPEN to CLOSE. */
export class Meter {
  #started = 0;
  #counts = { writes: 0, fromGuest: 0, toGuest: 0 };
  #guestCpu = 0;

  /** The counts, and what the whole guest used of the CPU, in seconds. */
  get measured() {
    return { ...this.#counts, guestCpu: this.#guestCpu };
  }

  count(what) {
    this.#counts[what]++;
  }

  async start(domid) {
    this.#started = await guestSeconds(domid);
    this.#counts = { writes: 0, fromGuest: 0, toGuest: 0 };
  }

  async stop(domid) {
    this.#guestCpu = (await guestSeconds(domid)) - this.#started;
  }
}

/** CPU time of a domain by Xen's own account: the last column, tenths of seconds. */
async function guestSeconds(domid) {
  const list = await xl('list', String(domid));
  return Number(list.trim().split(/\s+/).at(-1));
}

/** The hypervisor, with event channels that count. */
export function countingHypervisor(hypervisor, meter) {
  const { description, grants, mapper, clock, eventChannels } = hypervisor;
  const counting = (port) => ({
    port: port.port,
    notify: () => {
      meter.count('toGuest');
      port.notify();
    },
    onNotify: (handler) =>
      port.onNotify(() => {
        meter.count('fromGuest');
        handler();
      }),
    idle: () => port.idle(),
    unbind: () => port.unbind(),
  });
  return {
    ...{ description, grants, mapper, clock },
    eventChannels: {
      bindUnbound: async (domid) => counting(await eventChannels.bindUnbound(domid)),
      bindInterdomain: async (...peer) => counting(await eventChannels.bindInterdomain(...peer)),
      forgetIfRestored: () => eventChannels.forgetIfRestored(),
    },
    openXenStore: () => hypervisor.openXenStore(),
    claim: (device) => hypervisor.claim(device),
    ref: () => hypervisor.ref(),
    unref: () => hypervisor.unref(),
    close: () => hypervisor.close(),
  };
}

/** The null sink. The guest waits for OPEN and CLOSE while its time is read: nothing plays meanwhile. */
export function countingDevice(clock, domid, meter) {
  const device = nullDevice(clock);
  return {
    ...device,
    openPlayback: async (params, feed) => {
      const voice = await device.openPlayback(params, feed);
      await meter.start(domid);
      return {
        start: () => voice.start(),
        pause: () => voice.pause(),
        resume: () => voice.resume(),
        stop: () => voice.stop(),
        refilled: () => {
          meter.count('writes');
          voice.refilled();
        },
        close: async (options) => {
          await voice.close(options);
          await meter.stop(domid);
        },
      };
    },
  };
}
