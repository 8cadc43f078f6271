import { Backend } from '../../src/backend/backend.ts';
import type { StreamAddress } from '../../src/backend/card.ts';
import { type MemoryDevice, memoryDevice } from '../../src/backend/devices.ts';
import type { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { ForeignBackend, type RestartOrder } from './foreign-backend.ts';
import type { Manners } from './foreign-stream.ts';

/** What a suite needs of a backend, whoever wrote it. */
export interface Peer {
  /** What stream `key`, '<devid>/<pcm>/<stream>', has played from its `take`th OPEN on, over all processes; all of them without it. */
  heard(key: string, take?: number): Buffer;
  /** How often it was opened. */
  takes(key: string): number;
  /** What it captures next; then silence. */
  say(key: string, bytes: Uint8Array): void;
  /** SIGKILL, at the earliest now. */
  kill(): void;
  /** After {@link kill}. */
  restart(order?: RestartOrder): Promise<void>;
  /** What went wrong with it, a line each: crashed, a thread ended, told what it should not be. */
  complaints(): string[];
  /** Whether a host device is open. */
  readonly isInUse: boolean;
  end(): Promise<void>;
}

export interface Profile {
  readonly name: string;
  readonly hasVolume: boolean;
  /** Data that comes too late is not played. */
  readonly skipsLateData: boolean;
  start(machine: EmulatedMachine, frontendDomid: number): Promise<Peer>;
}

const step4ms = (rate: number): number => Math.round(rate * 0.004);

/** Seen of the reference backend with ALSA below it. */
const ALSA: Manners = {
  step: step4ms,
  runsOn: false,
  restartsAtStop: true,
  drains: true,
  refusals: { startClosed: -14, startEmpty: -32, notRunning: -77, unknown: -22 },
  refine: (asked) => ({ ...asked, rates: { min: asked.rates.min, max: 192_000 } }),
  lateEvents: 0,
};

/** The same with PulseAudio below it: its numbers are PA_ERR_*, and its position is a clock. */
const PULSE: Manners = {
  step: () => 1,
  runsOn: true,
  restartsAtStop: false,
  drains: false,
  refusals: { startClosed: -15, startEmpty: -15, notRunning: -15, unknown: -22 }, // PA_ERR_BADSTATE
  refine: (asked) => asked,
  lateEvents: 0,
};

function foreign(name: string, manners: Manners): Profile {
  return {
    name,
    hasVolume: false,
    skipsLateData: manners.runsOn,
    start: async (machine, frontendDomid) => {
      const takes = new Map<string, Buffer[][]>();
      const said = new Map<string, Buffer>();
      const complaints: string[] = [];
      const start = async (order?: RestartOrder) =>
        await ForeignBackend.start(machine, {
          frontendDomid,
          manners,
          ...(order && { order }),
          fill: (key, bytes) => {
            const source = said.get(key) ?? Buffer.alloc(0);
            said.set(key, source.subarray(source.copy(bytes)));
          },
          opened: (key, heard) => void takes.set(key, [...(takes.get(key) ?? []), heard]),
        });
      let backend = await start();
      const settleAccount = () => {
        if (backend.died !== undefined) complaints.push(`it crashed: ${backend.died}`);
        complaints.push(
          ...backend.endedThreads.map((why) => `its watch thread ended: ${why}`),
          ...backend.breaches,
        );
        backend.breaches.length = 0;
      };
      return {
        heard: (key, take) => {
          const all = takes.get(key) ?? [];
          return Buffer.concat(take === undefined ? all.flat() : (all[take] ?? []));
        },
        takes: (key) => takes.get(key)?.length ?? 0,
        say: (key, bytes) => void said.set(key, Buffer.concat([said.get(key) ?? Buffer.alloc(0), bytes])),
        kill: () => {
          settleAccount();
          said.clear();
          backend.kill();
        },
        restart: async (order) => {
          backend = await start(order);
        },
        complaints: () => {
          settleAccount();
          return complaints;
        },
        get isInUse() {
          return backend.isInUse;
        },
        end: async () => backend.kill(),
      };
    },
  };
}

const OURS: Profile = {
  name: 'our own',
  hasVolume: true,
  skipsLateData: false,
  start: async (machine) => {
    /** The takes of every process, and what each stream captures next. */
    const takes = new Map<string, (() => Uint8Array)[]>();
    const begin = async () => {
      const process = machine.startProcess(0);
      const devices = new Map<string, MemoryDevice>();
      const deviceOf = (key: string) => {
        const device = devices.get(key) ?? recorded(key, memoryDevice(process.clock));
        devices.set(key, device);
        return device;
      };
      const recorded = (key: string, device: MemoryDevice): MemoryDevice => {
        let own = 0;
        return {
          ...device,
          openPlayback: (...args) => {
            const take = own++;
            takes.set(key, [...(takes.get(key) ?? []), () => device.heard(take)]);
            return device.openPlayback(...args);
          },
        };
      };
      const deviceFor = ({ devid, pcmDevice, config }: StreamAddress) =>
        deviceOf(`${devid}/${pcmDevice}/${config.index}`);
      return { process, deviceOf, backend: await Backend.start(process, { deviceFor }) };
    };
    let running = await begin();
    return {
      heard: (key, take) => {
        const all = (takes.get(key) ?? []).map((heard) => heard());
        return Buffer.concat(take === undefined ? all : all.slice(take, take + 1));
      },
      takes: (key) => takes.get(key)?.length ?? 0,
      say: (key, bytes) => running.deviceOf(key).say(bytes),
      kill: () => running.process.exit(),
      restart: async () => {
        running = await begin();
      },
      complaints: () => [],
      get isInUse() {
        return running.backend.status.some(({ streams }) => streams.some(({ open }) => open !== undefined));
      },
      end: async () => {
        await running.backend.close();
        running.process.exit();
      },
    };
  },
};

export const PROFILES: readonly Profile[] = [
  OURS,
  foreign('the reference backend on ALSA', ALSA),
  foreign('the reference backend on ALSA, on a machine that orders its writes loosely', {
    ...ALSA,
    lateEvents: 7,
  }),
  foreign('the reference backend on PulseAudio', PULSE),
];
