import { Repeater } from '../repeater.ts';
import type { XenStoreClient } from '../xenstore/client.ts';
import { BackendCard, type BackendCardOptions } from './card.ts';
import { isRepeated } from './guest.ts';
import type { BackendCardStatus } from './status.ts';

export interface CardKeeperOptions extends Omit<BackendCardOptions, 'frontendPath' | 'giveUp'> {
  /** There is no card here any more. */
  onEmpty(): void;
  /** A card has been let go: what another one lacked may be had now. */
  onFreed(): void;
}

/** What the toolstack says of a card. */
interface Wish {
  /** The frontend's node; undefined where there is no card, or the toolstack is not done with it. */
  readonly frontendPath: string | undefined;
  /** Not to be served any more: the toolstack waits for our Closed before it removes the nodes. */
  readonly isOffline: boolean;
}

/**
 * The place of one card below backend/vsnd: serves it for as long as the toolstack wants that. All of its work is a
 * sequence of its own, so that no card ever waits for another one's.
 */
export class CardKeeper {
  readonly #options: CardKeeperOptions;
  readonly #looks = new Repeater(() => this.#look());
  #card: BackendCard | undefined;
  /** Why the card was given up, until it is looked at again. */
  #failure: Error | undefined;
  #isGivenUp = false;
  #closed = false;

  constructor(options: CardKeeperOptions) {
    this.#options = options;
  }

  /** What the guest does with the card; undefined where none is served. */
  get status(): BackendCardStatus | undefined {
    return this.#card?.status;
  }

  /** Whether it is to be tried again when something is free again, of XenStore's or of what the guest may have. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /** Whether a card is served, all of whose changes but the toolstack's own are known. */
  get isServing(): boolean {
    return this.#card !== undefined;
  }

  /** Something about the card may have changed. */
  look(): void {
    this.#looks.ask();
  }

  /** Lets the card go. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#looks.end();
    await this.#letGo();
  }

  async #look(): Promise<void> {
    try {
      await this.#compare();
    } catch (error) {
      if (!this.#closed && !isRepeated(error)) this.#options.log((error as Error).message);
    }
  }

  /** What the toolstack wants with what is served. */
  async #compare(): Promise<void> {
    const { log, onEmpty, onFreed } = this.#options;
    if (this.#failure) {
      log(`given up: ${this.#failure.message}`);
      this.#failure = undefined;
      this.#isGivenUp = true;
      await this.#letGo();
      return;
    }
    const { frontendPath, isOffline } = await this.#readWish();
    if (this.#closed) return;
    if (frontendPath !== undefined && !isOffline) {
      if (this.#card === undefined) await this.#serve(frontendPath);
      else await this.#card.affirm();
      return;
    }
    this.#isGivenUp = false;
    if (this.#card !== undefined) {
      await this.#letGo();
      log('removed');
      onFreed();
    }
    if (frontendPath === undefined && !this.#looks.isDue) onEmpty();
  }

  async #readWish(): Promise<Wish> {
    const { xenstore, path } = this.#options;
    const read = (name: string) => xenstore.readIfPresent(`${path}/${name}`);
    const [frontendPath, state, online] = await Promise.all([
      read('frontend'),
      read('state'),
      read('online'),
    ]);
    return { frontendPath: state === undefined ? undefined : frontendPath, isOffline: online === '0' };
  }

  async #serve(frontendPath: string): Promise<void> {
    const giveUp = (error: Error) => {
      if (card !== this.#card) return this.#options.log(error.message); // it is let go already
      this.#failure ??= error;
      this.look();
    };
    this.#isGivenUp = true; // where the guest may have no more
    const card: BackendCard = new BackendCard({ ...this.#options, frontendPath, giveUp });
    this.#card = card;
    this.#isGivenUp = false;
    try {
      await card.start();
    } catch (error) {
      giveUp(error as Error);
    }
  }

  async #letGo(): Promise<void> {
    const card = this.#card;
    if (card === undefined) return;
    this.#card = undefined;
    await card.close();
    await removeRuin(this.#options.xenstore, this.#options.path);
  }
}

/**
 * Removes what a state that was written in the instant of the card's removal has made again: without a frontend it is
 * nobody's card. XenStore knows no write that makes no node, and a transaction for each state would cost twice as much.
 */
async function removeRuin(xenstore: XenStoreClient, path: string): Promise<void> {
  const [frontend, state] = await Promise.all(
    ['frontend', 'state'].map((name) => xenstore.readIfPresent(`${path}/${name}`)),
  );
  if (frontend !== undefined || state === undefined) return;
  const guest = path.slice(0, path.lastIndexOf('/'));
  await xenstore.transaction(async (transaction) => {
    if ((await transaction.readIfPresent(`${path}/frontend`)) !== undefined) return;
    await transaction.remove(path);
    if ((await transaction.directory(guest)).length === 0) await transaction.remove(guest);
  });
}
