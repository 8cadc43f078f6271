import { existsSync } from 'node:fs';
import { cardSocket, emulatedSocket } from './control/places.ts';
import { isEmulationRequested, joinProcessGuest } from './emulation/process-guest.ts';
import { invalidArgError, VsndError } from './errors.ts';
import { Card, type CardOptions, type EngineName, listCards as listCardsOf } from './frontend/card.ts';
import { type CardChange, watchCards as watchCardsOf } from './frontend/card-watch.ts';
import { leaveAtProcessEnd } from './frontend/departure.ts';
import type { CardInfo } from './frontend/discovery.ts';
import { checkOptionNames, type OptionNames } from './option-names.ts';
import { ReleaseStack } from './release-stack.ts';
import type { Hypervisor } from './xen/hypervisor.ts';
import type { LinuxHypervisorOptions } from './xen/linux/hypervisor.ts';

/** Which card to open, on which machine, and who else may control it. */
export interface OpenCardOptions extends CardOptions {
  /** The machine to use: one of `vsnd/testing`, say. By default this machine's Xen, or with VSND_EMULATE=1 an emulated one. */
  hypervisor?: Hypervisor | undefined;
  /**
   * Whether other processes of this user, and root's, may see and control the card (`vsnd volume`, `vsnd monitor`), and by
   * which socket, in a directory of mode 0700; see docs/control.md. By default true, and false where `hypervisor` is given.
   */
  control?: boolean | string | undefined;
  /**
   * The file of the addon that reaches Xen, where a bundle or a packaged program has it elsewhere: prebuilds/linux-ARCH/vsnd.node
   * of this package. By default VSND_ADDON, else the one in this package; nothing of it is loaded on an emulated machine.
   */
  addon?: string | undefined;
}

const OPEN_CARD_OPTIONS: OptionNames<OpenCardOptions> = {
  card: true,
  timeout: true,
  reconnect: true,
  signal: true,
  engine: true,
  hypervisor: true,
  control: true,
  addon: true,
};

/** The XenStore device of a Linux guest. */
const XENBUS = '/dev/xen/xenbus';

/**
 * Opens a sound card of this guest and connects to its backend. Rejects with ERR_VSND_NO_XEN, ERR_VSND_CARD_BUSY (and
 * the owner's `pid`), ERR_VSND_NO_CARD, ERR_VSND_CONFIG, ERR_VSND_BACKEND_GONE, ERR_VSND_INVALID_ARG or an AbortError. A
 * backend that may have bound what was published has up to 3 s more to let go of it: opening the card again waits for that.
 */
export async function openCard(options: OpenCardOptions = {}): Promise<Card> {
  checkOptionNames('openCard()', options, OPEN_CARD_OPTIONS);
  const { hypervisor, addon, control = hypervisor === undefined, ...cardOptions } = options;
  if (typeof control !== 'boolean' && (typeof control !== 'string' || control === '')) {
    throw invalidArgError('control', control, "true, false, or a socket's path");
  }
  if (addon !== undefined && (typeof addon !== 'string' || addon === ''))
    throw invalidArgError('addon', addon, 'the path of a file');
  const releases = new ReleaseStack();
  const card = hypervisor
    ? await Card.open(hypervisor, cardOptions, releases)
    : await openOwnCard(cardOptions, addon, releases);
  if (control !== false) {
    const isEmulated = hypervisor !== undefined || isEmulationRequested();
    const { offerControl } = await import('./control/server.ts');
    const name = isEmulated ? emulatedSocket(process.pid) : cardSocket(card.info.devid);
    releases.push(await offerControl(card, control === true ? { name } : { path: control }));
  }
  return card;
}

async function openOwnCard(
  options: CardOptions,
  addon: string | undefined,
  releases: ReleaseStack,
): Promise<Card> {
  const engine = options.engine ?? engineFromEnvironment();
  const machine = await ownHypervisor({ threaded: engine !== 'script', addon });
  releases.push(machine.release);
  let stayAtProcessEnd = () => {};
  releases.push(() => stayAtProcessEnd());
  const card = await Card.open(machine.hypervisor, { ...options, engine }, releases);
  if (!isEmulationRequested()) stayAtProcessEnd = leaveAtProcessEnd(card); // an emulated backend ends with us
  return card;
}

/** Which machine's cards, and who hears of those that cannot be listed. */
export interface ListCardsOptions extends Pick<OpenCardOptions, 'hypervisor'> {
  /** Hears of each card whose configuration cannot be understood (ERR_VSND_CONFIG), and the others are listed. */
  onUnreadable?: ((error: VsndError) => void) | undefined;
}

/**
 * Describes this guest's sound cards, in the order of their devids, without opening them. Rejects with ERR_VSND_NO_XEN,
 * ERR_VSND_INVALID_ARG, and without `onUnreadable` with ERR_VSND_CONFIG.
 */
export async function listCards(options: ListCardsOptions = {}): Promise<CardInfo[]> {
  checkOptionNames<ListCardsOptions>('listCards()', options, { hypervisor: true, onUnreadable: true });
  const { hypervisor, onUnreadable } = options;
  if (hypervisor) return await listCardsOf(hypervisor, onUnreadable);
  const machine = await ownHypervisor();
  try {
    return await listCardsOf(machine.hypervisor, onUnreadable);
  } finally {
    await machine.release();
  }
}

/** Which machine's cards, and until when. */
export type WatchCardsOptions = Pick<OpenCardOptions, 'hypervisor' | 'signal'>;

/**
 * This guest's sound cards, then each one that appears or vanishes, until the loop is left or `signal` aborts (AbortError).
 * Throws ERR_VSND_NO_XEN, ERR_VSND_INVALID_ARG or ERR_VSND_XENSTORE.
 */
export function watchCards(options: WatchCardsOptions = {}): AsyncGenerator<CardChange, void> {
  checkOptionNames<WatchCardsOptions>('watchCards()', options, { hypervisor: true, signal: true });
  return watchAll(options);
}

async function* watchAll({ hypervisor, signal }: WatchCardsOptions): AsyncGenerator<CardChange, void> {
  if (hypervisor) return yield* watchCardsOf(hypervisor, signal);
  const machine = await ownHypervisor();
  try {
    yield* watchCardsOf(machine.hypervisor, signal);
  } finally {
    await machine.release();
  }
}

/** Throws ERR_VSND_INVALID_ARG for what is none. */
function engineFromEnvironment(): EngineName | undefined {
  const name = process.env['VSND_ENGINE'] ?? '';
  if (name === '' || name === 'native' || name === 'script') return name === '' ? undefined : name;
  throw invalidArgError('VSND_ENGINE', name, 'native, script');
}

async function ownHypervisor(
  options: LinuxHypervisorOptions = {},
): Promise<{ hypervisor: Hypervisor; release(): Promise<void> }> {
  if (isEmulationRequested()) return await joinProcessGuest();
  if (existsSync(XENBUS)) {
    const { openLinuxHypervisor } = await import('./xen/linux/hypervisor.ts');
    const hypervisor = await openLinuxHypervisor(options);
    return { hypervisor, release: () => hypervisor.close() };
  }
  const reason = `this machine is not a Xen guest: there is no ${XENBUS}`;
  throw new VsndError('ERR_VSND_NO_XEN', `${reason}; --emulate, or VSND_EMULATE=1, plays without Xen`);
}
