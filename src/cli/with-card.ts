import type { EmulatedGuest, EmulatedGuestOptions } from '../emulation/guest.ts';
import { isVsndError, VsndError } from '../errors.ts';
import type { Card } from '../frontend/card.ts';
import type { CardInfo } from '../frontend/discovery.ts';
import { openCard } from '../open-card.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { CommandContext } from './command.ts';
import { misnamedWav } from './messages.ts';
import type { Terminal } from './terminal.ts';

/** Whose card a command uses, and which. */
export interface CardChoice {
  /** The card's number; undefined: the first one. */
  readonly card: number | undefined;
  /** An emulated machine's; undefined: this guest's. */
  readonly emulation: EmulatedGuestOptions | undefined;
  /** The command lets others control the card itself. */
  readonly hasOwnControl?: boolean;
}

/** What a command does with a card. */
export interface CardUse {
  readonly card: Card;
  /** The emulated machine, if it is one. */
  readonly guest: EmulatedGuest | undefined;
  /** What is released before the card is closed. */
  readonly releases: ReleaseStack;
}

/**
 * Opens a card for a command, which other processes may control, says what is wrong with its configuration, and closes it
 * when `use` is over. Rejects as openCard(), startEmulatedGuest() and `use` do.
 */
export async function withCard<T>(
  { card: devid, emulation, hasOwnControl = false }: CardChoice,
  { terminal, signal }: Pick<CommandContext, 'terminal' | 'signal'>,
  use: (parts: CardUse) => Promise<T>,
): Promise<T> {
  const warning = emulation?.sink?.startsWith('wav:') && misnamedWav(emulation.sink.slice('wav:'.length));
  if (warning) terminal.complain(warning);
  const releases = new ReleaseStack();
  try {
    const guest = emulation && (await emulate(emulation));
    if (guest) releases.push(() => guest.close());
    const card = await openCard({
      control: !hasOwnControl,
      hypervisor: guest?.hypervisor,
      card: devid,
      signal,
    });
    releases.push(() => card.close());
    complainOfConfig(card.info, terminal);
    return await use({ card, guest, releases }).catch((error: unknown) => {
      throw withReason(error, guest);
    });
  } finally {
    await releases.releaseAll();
  }
}

/** On Xen, Dom0 has the reason why its backend refused something; here the backend is the user's own. */
function withReason(error: unknown, guest: EmulatedGuest | undefined): unknown {
  const reason = guest?.lastRefusal;
  if (reason === undefined || !isVsndError(error, 'ERR_VSND_STATUS')) return error;
  return new VsndError(error.code, `${error.message}: ${reason}`, { cause: error });
}

async function emulate(options: EmulatedGuestOptions): Promise<EmulatedGuest> {
  const { startEmulatedGuest } = await import('../emulation/guest.ts');
  return await startEmulatedGuest(options);
}

/** A line for each warning about a card's configuration. */
export function complainOfConfig({ warnings }: CardInfo, terminal: Terminal): void {
  for (const { message } of warnings) terminal.complain(`warning: ${message}`);
}
