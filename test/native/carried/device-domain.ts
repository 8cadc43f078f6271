import { readFileSync } from 'node:fs';
import { type Clock, ManualClock, type Timer } from '../../../src/clock.ts';
import type { EmulatedDomain } from '../../../src/xen/emulated/domain.ts';
import { Faults } from '../../../src/xen/emulated/faults.ts';
import { TrackedClock } from '../../../src/xen/emulated/tracked-clock.ts';
import type { DomainState, EmulatedXen } from '../../../src/xen/emulated/xen.ts';
import type { EventChannels, GrantAllocator, GrantMapper, Hypervisor } from '../../../src/xen/hypervisor.ts';
import { openLinuxHypervisor } from '../../../src/xen/linux/hypervisor.ts';
import type { StreamEngine } from '../../../src/xen/stream-engine.ts';
import { ADDON, devicesOf } from '../stand-in.ts';

/** Turns of the event loop in which nothing may happen: what a thread has told takes one to come here. */
const QUIET_TURNS = 3;

const command = (what: string): string => readFileSync(`/xen-stand-in/${what}`, 'utf8');

/**
 * Domains of an emulated machine whose memory and event channels are those of stand-in.c, and whose streams a thread of the addon
 * carries: everything that is tested on the emulated machine can be tested so, on the manual clock, which is the thread's as well.
 */
export function deviceDomain(Domain: typeof EmulatedDomain): typeof EmulatedDomain {
  moveTheThreadsTime();
  holdNotificationsThere();
  const machines = new WeakSet<EmulatedXen>();

  return class DeviceDomain extends Domain {
    override readonly clock: TrackedClock;
    override readonly grants: GrantAllocator;
    override readonly mapper: GrantMapper;
    override readonly eventChannels: EventChannels & EmulatedDomain['eventChannels'];
    readonly engine: StreamEngine;
    readonly #held = new Set<string>();
    /** Open while something of theirs is held: tests leave machines behind that nobody closes. */
    #devices: Promise<Hypervisor> | undefined;
    #engine: StreamEngine | undefined;
    readonly #domid: number;

    constructor(xen: EmulatedXen, state: DomainState) {
      super(xen, state);
      this.#domid = state.domid;
      this.clock = new TrackedClock(new SharedClock(xen.clock));
      tellTime(xen.clock);
      if (!machines.has(xen)) xen.settleWith(() => settleDevices(xen));
      machines.add(xen);
      const opened = (): StreamEngine => {
        if (this.#engine === undefined) throw new Error('the devices are not open');
        return this.#engine;
      };
      this.engine = {
        get isRealTime() {
          return opened().isRealTime;
        },
        playback: (...args) => opened().playback(...args),
        capture: (...args) => opened().capture(...args),
      };
      this.grants = {
        grant: (...args) => this.#hold('grant', `${args[1]} pages`, ({ grants }) => grants.grant(...args)),
      };
      this.mapper = { map: (...args) => this.#hold('map', 'mapping', ({ mapper }) => mapper.map(...args)) };
      this.eventChannels = {
        bindUnbound: (...args) =>
          this.#hold('bindUnbound', 'port', ({ eventChannels }) => eventChannels.bindUnbound(...args)),
        bindInterdomain: (...args) =>
          this.#hold('bindInterdomain', 'port', ({ eventChannels }) =>
            eventChannels.bindInterdomain(...args),
          ),
        forgetIfRestored: async () =>
          (await (await this.#devices)?.eventChannels.forgetIfRestored()) ?? false,
      } as typeof this.eventChannels;
    }

    override exit(): void {
      super.exit();
      this.#held.clear();
      this.#closeDevices();
    }

    override leaks(): string[] {
      return [...super.leaks(), ...[...this.#held].map((what) => `domain ${this.domid}: ${what}`)];
    }

    async #hold<T extends { release(): Promise<void> } | { unbind(): Promise<void> }>(
      operation: 'grant' | 'map' | 'bindUnbound' | 'bindInterdomain',
      what: string,
      make: (devices: Hypervisor) => Promise<T>,
    ): Promise<T> {
      await this.xen.step();
      this.xen.rules.checkOperation(this.domid, operation);
      const line = `${what} (${operation}, ${performance.now()})`;
      this.#held.add(line);
      const made = await make(await this.#openDevices()).catch((error: unknown) => {
        this.#release(line);
        throw error;
      });
      const end = 'release' in made ? 'release' : 'unbind';
      const original = (made as Record<typeof end, () => Promise<void>>)[end].bind(made);
      Object.defineProperty(made, end, {
        value: async () => {
          await original();
          this.#release(line);
          await this.xen.step();
        },
      });
      return made;
    }

    async #openDevices(): Promise<Hypervisor> {
      this.#devices ??= openLinuxHypervisor({
        devices: devicesOf(this.#domid),
        addon: ADDON,
        threaded: true,
        clock: this.clock,
      });
      const devices = await this.#devices;
      this.#engine = devices.engine;
      return devices;
    }

    #release(line: string): void {
      this.#held.delete(line);
      if (this.#held.size === 0) this.#closeDevices();
    }

    #closeDevices(): void {
      void this.#devices?.then((devices) => devices.close());
      this.#devices = this.#engine = undefined;
    }
  };
}

/** Tells the thread of the time before a timer's callback uses it. */
class SharedClock implements Clock {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  after(delay: number, callback: () => void): Timer {
    return this.#clock.after(delay, () => {
      tellTime(this.#clock);
      callback();
    });
  }
}

let told: number | undefined;

function tellTime(clock: Clock): void {
  const now = clock instanceof ManualClock ? Math.round(clock.now()) : -1;
  if (now === told) return;
  told = now;
  command(`time/${now}`);
}

/** What follows a move of the clock at once must find the thread at the same time. */
function moveTheThreadsTime(): void {
  const { advanceTime } = ManualClock.prototype;
  ManualClock.prototype.advanceTime = async function (duration) {
    await advanceTime.call(this, duration);
    tellTime(this);
  };
}

function holdNotificationsThere(): void {
  const { holdNotifications } = Faults.prototype;
  Faults.prototype.holdNotifications = function (filter) {
    const end = holdNotifications.call(this, filter);
    const which = `${filter.domid}/${filter.port ?? 0}`;
    command(`hold/${which}`);
    return () => {
      end();
      command(`let/${which}`);
    };
  };
}

/** Until the threads are asleep, their queues empty, and nobody has done anything for some turns. */
async function settleDevices(xen: EmulatedXen): Promise<void> {
  tellTime(xen.clock);
  let before = command('moves');
  for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = command('moves');
    if (now !== before || now.endsWith(' 0')) {
      quiet = -1;
      if (now !== before) xen.noteMove();
    }
    before = now;
  }
}
