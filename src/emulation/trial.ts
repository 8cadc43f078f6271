import { WAV_FORMATS } from '../wav/header.ts';
import { EmulatedMachine } from '../xen/emulated/machine.ts';
import { createSoundCard } from '../xen/emulated/toolstack.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { emulatedCard } from './guest.ts';

/** An emulated machine for a backend that is to be tried: it has a guest with a card, and nobody serves that yet. */
export interface TrialMachine {
  /** Domain 0, where a backend can be started. */
  readonly dom0: Hypervisor;
  readonly guest: Hypervisor;
  close(): Promise<void>;
}

export function startTrialMachine(): TrialMachine {
  const machine = new EmulatedMachine();
  const guest = machine.createDomain();
  createSoundCard(machine, emulatedCard(guest.domid, { formats: WAV_FORMATS }, { formats: WAV_FORMATS }));
  return { dom0: machine.dom0, guest, close: () => machine.close() };
}
