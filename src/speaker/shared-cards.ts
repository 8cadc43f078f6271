import { abortError } from '../errors.ts';
import type { Card } from '../frontend/card.ts';
import { listCards, openCard } from '../open-card.ts';

/** What of vsnd is needed to find a card and open it. */
export interface CardAccess {
  openCard(options: { card: number | undefined; signal: AbortSignal }): Promise<Card>;
  listCards(): Promise<readonly { devid: number }[]>;
}

interface SharedCard {
  readonly card: Card;
  users: number;
}

/** A share in an open card. */
export interface CardShare {
  readonly card: Card;
  /** Gives it back; the last one closes the card. To be called once. */
  leave(): Promise<void>;
}

/** Cards with several users in one process, which can own a card only once: opened by the first, closed by the last. */
export class SharedCards {
  readonly #access: CardAccess;
  readonly #open: SharedCard[] = [];
  /** Who comes and goes does so one after the other: two at once would open a card twice, or open one that still closes. */
  #turns: Promise<unknown> = Promise.resolve();

  constructor(access: CardAccess) {
    this.#access = access;
  }

  /** Joins the users of a card, by default of the guest's first. Rejects as openCard() does. */
  join(devid: number | undefined, signal: AbortSignal): Promise<CardShare> {
    return this.#inTurn(async () => {
      if (signal.aborted) throw abortError(signal);
      const shared = (await this.#find(devid)) ?? (await this.#openAnother(devid, signal));
      shared.users++;
      return { card: shared.card, leave: () => this.#inTurn(() => this.#leave(shared)) };
    });
  }

  /** Which card is the first one only XenStore knows; while none is open, openCard() asks it. */
  async #find(devid: number | undefined): Promise<SharedCard | undefined> {
    if (this.#open.length === 0) return undefined;
    const wanted = devid ?? (await this.#access.listCards())[0]?.devid;
    return this.#open.find(({ card }) => card.info.devid === wanted);
  }

  async #openAnother(devid: number | undefined, signal: AbortSignal): Promise<SharedCard> {
    const shared = { card: await this.#access.openCard({ card: devid, signal }), users: 0 };
    this.#open.push(shared);
    return shared;
  }

  async #leave(shared: SharedCard): Promise<void> {
    shared.users--;
    if (shared.users > 0) return;
    this.#open.splice(this.#open.indexOf(shared), 1);
    await shared.card.close();
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#turns.then(step);
    this.#turns = turn.catch(() => {});
    return turn;
  }
}

/** Known to every copy of this package in the process: two copies cannot both own a card. */
const SHARED_CARDS = Symbol.for('vsnd.sharedCards');

/** The cards that this process shares. */
export function processCards(): SharedCards {
  const shared = globalThis as { [SHARED_CARDS]?: SharedCards };
  shared[SHARED_CARDS] ??= new SharedCards({ openCard, listCards });
  return shared[SHARED_CARDS];
}
