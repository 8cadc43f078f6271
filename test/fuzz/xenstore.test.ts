import { expect, test } from 'vitest';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { FORMAT, Machine, SECOND_BYTES } from '../hostile/machine.ts';
import { noise } from '../sound.ts';
import { FUZZ_TIMEOUT, type Random, runRounds } from './rounds.ts';

const ERRNOS = ['EAGAIN', 'EBUSY', 'EIO', 'ENOMEM', 'ENOSPC'];
const MOST_GUESTS = 4;

/** A round's refusals: all of them in a row, each tried again after up to a second, and SHORT before them, stay within the patience. */
const MOST_REFUSALS = 12;

/** ns: a daemon that is gone for no longer is no loss. */
const SHORT = 3e9;

/** ns after which a new connection is as good as the first. */
const CALM = 2e9;

/** Refuses some of the requests to come, each the n-th of somebody's, and now and then the next few as well. */
function refuse(machine: Machine, domains: readonly EmulatedDomain[], random: Random): void {
  let left = random.below(MOST_REFUSALS + 1);
  while (left > 0) {
    const count = random.chance(70) ? 1 : 1 + random.below(Math.min(5, left));
    machine.machine.faults.refuseXenStore({
      domid: random.pick(domains).domid,
      errno: random.pick(ERRNOS),
      after: random.below(80),
      count,
    });
    left -= count;
  }
}

/** Ends the connections of one or of all, at some time, for some time. */
async function interrupt(
  machine: Machine,
  domains: readonly EmulatedDomain[],
  random: Random,
): Promise<void> {
  await machine.clock.advanceTime(random.below(2e9));
  const { faults } = machine.machine;
  const back = faults.stopXenStore(random.chance(30) ? undefined : random.pick(domains).domid);
  await machine.clock.advanceTime(random.below(SHORT));
  back();
  await machine.clock.advanceTime(CALM);
}

async function round(random: Random): Promise<void> {
  const machine = new Machine({ inDriverDomain: random.chance(50) });
  const guests = Array.from({ length: 1 + random.below(MOST_GUESTS) }, () => machine.addGuest());
  const domains = [machine.host, ...guests];
  refuse(machine, domains, random);
  await machine.startBackend();
  for (let step = random.below(60); step > 0; step--) await machine.machine.step();
  const opening = Promise.all(guests.map((guest) => machine.connect(guest)));
  opening.catch(() => {});
  if (random.chance(40)) await interrupt(machine, domains, random);
  const [first] = await opening;
  const sound = noise(3 * SECOND_BYTES, random.next());
  const out = first?.createPlaybackStream(FORMAT);
  const finished = new Promise((resolve, reject) => out?.once('close', resolve).once('error', reject));
  out?.end(sound);
  if (random.chance(40)) await interrupt(machine, domains, random);
  await machine.clock.advanceTime(15e9);
  await finished;
  expect(machine.backend.status.filter(({ connected }) => connected)).toHaveLength(guests.length);
  expect(Buffer.from(machine.device.heard()).equals(Buffer.from(sound))).toBe(true);
  expect(machine.log.filter((line) => line.includes('given up'))).toEqual([]);
  await machine.close();
}

test(
  'a XenStore that refuses what it likes, and goes and comes: every guest is connected, and plays on',
  async () => {
    expect(await runRounds('xenstore', round)).toBeGreaterThan(0);
  },
  FUZZ_TIMEOUT,
);
