import { existsSync } from 'node:fs';
import { isEmulationRequested, joinProcessGuest } from './emulation/process-guest.ts';
import { VsndError } from './errors.ts';
import { Card, type CardOptions, listCards as listCardsOf } from './frontend/card.ts';
import type { CardInfo } from './frontend/discovery.ts';
import { ReleaseStack } from './release-stack.ts';
import type { Hypervisor } from './xen/hypervisor.ts';
import { openLinuxHypervisor } from './xen/linux/hypervisor.ts';

export interface OpenCardOptions extends CardOptions {
  /** The machine to use: one of `vsnd/testing`, say. By default this machine's Xen, or with VSND_EMULATE=1 an emulated one. */
  hypervisor?: Hypervisor | undefined;
}

/** The XenStore device of a Linux guest. */
const XENBUS = '/dev/xen/xenbus';

/**
 * Opens a sound card of this guest and connects to its backend. Rejects with ERR_VSND_NO_XEN, ERR_VSND_CARD_BUSY (and
 * the owner's `pid`), ERR_VSND_NO_CARD, ERR_VSND_CONFIG, ERR_VSND_BACKEND_GONE, ERR_VSND_INVALID_ARG or an AbortError.
 */
export async function openCard({ hypervisor, ...options }: OpenCardOptions = {}): Promise<Card> {
  if (hypervisor) return await Card.open(hypervisor, options);
  const machine = await ownHypervisor();
  const releases = new ReleaseStack();
  releases.push(machine.release);
  return await Card.open(machine.hypervisor, options, releases);
}

/** Describes this guest's sound cards, in the order of their devids, without opening them. Rejects with ERR_VSND_NO_XEN or ERR_VSND_CONFIG. */
export async function listCards({
  hypervisor,
}: Pick<OpenCardOptions, 'hypervisor'> = {}): Promise<CardInfo[]> {
  if (hypervisor) return await listCardsOf(hypervisor);
  const machine = await ownHypervisor();
  try {
    return await listCardsOf(machine.hypervisor);
  } finally {
    await machine.release();
  }
}

async function ownHypervisor(): Promise<{ hypervisor: Hypervisor; release(): Promise<void> }> {
  if (isEmulationRequested()) return await joinProcessGuest();
  if (existsSync(XENBUS)) {
    const hypervisor = await openLinuxHypervisor();
    return { hypervisor, release: () => hypervisor.close() };
  }
  const reason = `this machine is not a Xen guest: there is no ${XENBUS}`;
  throw new VsndError('ERR_VSND_NO_XEN', `${reason}; --emulate, or VSND_EMULATE=1, plays without Xen`);
}
