import { afterEach } from 'vitest';
import type { Card, CardOptions } from '../../src/frontend/card.ts';
import { openCard } from '../../src/open-card.ts';
import {
  createSoundCard,
  type EmulatedDomain,
  EmulatedMachine,
  type Fields,
  ManualClock,
  startTestGuest,
  type TestGuest,
  type TestGuestOptions,
} from '../../src/testing.ts';
import { stepUntilSettled } from '../waits.ts';
import { RawBackend } from './raw-backend.ts';

/** Whether test/native/carried runs this: the addon's thread carries the streams. */
export const IS_CARRIED = process.env['VSND_TEST_CARRIED'] !== undefined;

/** Of so many frames that wait for room in the buffer, those that are latency: the thread's staging ring takes them all. */
export const staged = (frames: number): number => (IS_CARRIED ? frames : 0);

const open: TestGuest[] = [];

afterEach(async () => {
  for (const guest of open.splice(0)) await guest.close();
});

/** A test guest that must be left clean; it is closed, and that is checked, after the test. */
export async function startGuest(options: TestGuestOptions = {}): Promise<TestGuest> {
  const guest = await startTestGuest(options);
  open.push(guest);
  return guest;
}

/** A test guest and its card, opened; the test closes the card. */
export async function startCard(options: TestGuestOptions = {}): Promise<{ guest: TestGuest; card: Card }> {
  const guest = await startGuest(options);
  return { guest, card: await openCard({ hypervisor: guest.hypervisor }) };
}

/** A card on a raw backend. */
export interface RawCard {
  readonly machine: EmulatedMachine;
  readonly clock: ManualClock;
  readonly guest: EmulatedDomain;
  readonly card: Card;
  /** A test may put another one in its place. */
  backend: RawBackend;
}

/** A card with one stream on a raw backend, in the hands of the test; everything must be released at its end. */
export async function withRawCard(
  type: 'p' | 'c',
  body: (raw: RawCard) => Promise<void>,
  {
    fields,
    prepare = () => {},
    ...options
  }: CardOptions & { fields?: Fields; prepare?: (guest: EmulatedDomain) => void } = {},
): Promise<void> {
  const clock = new ManualClock();
  const machine = new EmulatedMachine({ clock });
  const guest = machine.createDomain();
  prepare(guest);
  createSoundCard(machine, {
    frontendDomid: guest.domid,
    pcmDevices: [{ ...(fields && { fields }), streams: [{ fields: { type } }] }],
  });
  const backend = await RawBackend.start(machine, guest.domid);
  const card = await openCard({ ...options, hypervisor: guest });
  const raw = { machine, clock, guest, card, backend };
  await body(raw);
  const closed = card.close();
  await clock.advanceTime(10e9);
  await closed;
  await raw.backend.close();
  await machine.settle();
  machine.assertCleanedUp();
}

/** The error with which a stream ends; undefined where it ends without one. */
export async function closing(stream: NodeJS.EventEmitter): Promise<Error | undefined> {
  let failure: Error | undefined;
  stream.on('error', (error: Error) => {
    failure = error;
  });
  await new Promise((resolve) => stream.once('close', resolve));
  return failure;
}

/** Lets the time pass, a period at a time, until `promise` is settled; gives up after 10,000,000 frames. */
export async function playUntil<T>(guest: TestGuest, promise: Promise<T>): Promise<T> {
  return await stepUntilSettled(promise, () => guest.clock.advance(1000), 10_000);
}
