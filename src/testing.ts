/**
 * For tests of programs that use vsnd: a Xen machine in memory, a backend in it, and a clock moved by hand.
 * @module vsnd/testing
 */

import { Backend } from './backend/backend.ts';
import { type MemoryDevice, memoryDevice } from './backend/devices.ts';
import type { PcmDevice } from './backend/pcm-device.ts';
import type { QueueMode } from './backend/playback-queue.ts';
import { type Clock, ManualClock } from './clock.ts';
import { checkOptionNames, type OptionNames } from './option-names.ts';
import { EmulatedMachine } from './xen/emulated/machine.ts';
import { createSoundCard, type Fields, type SoundCardOptions } from './xen/emulated/toolstack.ts';
import type { Hypervisor } from './xen/hypervisor.ts';

export { Backend, type BackendOptions } from './backend/backend.ts';
export type { StreamAddress } from './backend/card.ts';
export {
  type MemoryDevice,
  memoryDevice,
  nullDevice,
  silenceDevice,
  wavDevice,
} from './backend/devices.ts';
export type { LimitSetting } from './backend/limits.ts';
export type { BackendLogEntry } from './backend/log.ts';
export type {
  CaptureDevice,
  CaptureFeed,
  CaptureVoice,
  DeviceParams,
  PcmDevice,
  PlaybackDevice,
  PlaybackFeed,
  PlaybackVoice,
} from './backend/pcm-device.ts';
export type { QueueMode } from './backend/playback-queue.ts';
export { sineDevice } from './backend/sine.ts';
export { wavLoopDevice } from './backend/wav-loop.ts';
export { type Clock, FastClock, ManualClock, RealClock, type Timer } from './clock.ts';
export type { EmulatedDomain } from './xen/emulated/domain.ts';
export type { HypervisorOperation, Occasions, PortFilter } from './xen/emulated/fault-rules.ts';
export type { Faults } from './xen/emulated/faults.ts';
export { type DomainOptions, EmulatedMachine } from './xen/emulated/machine.ts';
export { connectDomain, serveDomain } from './xen/emulated/remote.ts';
export {
  createSoundCard,
  type Fields,
  removeSoundCard,
  restoreDomain,
  type SoundCardAddress,
  type SoundCardOptions,
  type SoundCardPaths,
} from './xen/emulated/toolstack.ts';
export type { Hypervisor } from './xen/hypervisor.ts';

/** What {@link startTestGuest} makes. */
export interface TestGuestOptions {
  /** Hz: what one frame means to `clock.advance(frames)`; by default 48000. */
  rate?: number | undefined;
  /** XenStore fields of the card, over the defaults: all rates and formats, 1 to 8 channels, a buffer of 64 KiB. */
  fields?: Fields | undefined;
  /** By default one PCM device with one playback stream. */
  pcmDevices?: SoundCardOptions['pcmDevices'] | undefined;
  /** The default PCM device has a capture stream as well, behind the playback stream. */
  capture?: boolean | undefined;
  /** When the backend takes data out of the shared buffer; by default 'copy', at WRITE. */
  queueMode?: QueueMode | undefined;
  /** What plays and captures, if not a memory device. */
  device?: ((clock: Clock) => PcmDevice) | undefined;
  /** One line for each thing that happens to the backend. */
  log?: ((message: string) => void) | undefined;
}

const TEST_GUEST_OPTIONS: OptionNames<TestGuestOptions> = {
  rate: true,
  fields: true,
  pcmDevices: true,
  capture: true,
  queueMode: true,
  device: true,
  log: true,
};

/** A guest with a sound card, its backend in domain 0, and the time in the test's hand: all in one thread. */
export interface TestGuest {
  /** For `openCard({ hypervisor })`. */
  readonly hypervisor: Hypervisor;
  /** `await clock.advance(frames)` settles when all that follows, on both sides, has been handled. */
  readonly clock: ManualClock;
  /** `machine.faults` lets things go wrong; `machine.assertCleanedUp()` names what a program left behind. */
  readonly machine: EmulatedMachine;
  /** What serves the card, in domain 0. */
  readonly backend: Backend;
  /** What the card has played, and will capture: `device.heard()`, `device.say()`. Idle where the options name another. */
  readonly device: MemoryDevice;
  /** Ends the backend, then checks that nothing is left: throws ERR_VSND_INVALID_STATE with a list of what is. */
  close(): Promise<void>;
}

const PLAYBACK = { fields: { type: 'p', 'unique-id': 'playback0' } };
const CAPTURE = { fields: { type: 'c', 'unique-id': 'capture0' } };

/** Starts a machine with a guest and a backend. */
export async function startTestGuest(options: TestGuestOptions = {}): Promise<TestGuest> {
  checkOptionNames('startTestGuest()', options, TEST_GUEST_OPTIONS);
  const clock = new ManualClock(options.rate === undefined ? {} : { rate: options.rate });
  const machine = new EmulatedMachine({ clock });
  const guest = machine.createDomain();
  createSoundCard(machine, {
    frontendDomid: guest.domid,
    fields: { 'buffer-size': '65536', ...options.fields },
    pcmDevices: options.pcmDevices ?? [{ streams: options.capture ? [PLAYBACK, CAPTURE] : [PLAYBACK] }],
  });
  const device = memoryDevice(machine.dom0.clock);
  const used = options.device?.(machine.dom0.clock) ?? device;
  const { queueMode, log } = options;
  const backend = await Backend.start(machine.dom0, { deviceFor: () => used, queueMode, log });
  await machine.settle();
  return {
    hypervisor: guest,
    clock,
    machine,
    backend,
    device,
    close: async () => {
      await backend.close();
      await machine.settle();
      machine.assertCleanedUp();
      await machine.close();
    },
  };
}
