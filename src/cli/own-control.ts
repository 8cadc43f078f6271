import type { ControlledCard } from '../control/methods.ts';
import { cardSocket, emulatedSocket } from '../control/places.ts';
import { offerControl } from '../control/server.ts';
import type { CardUse } from './with-card.ts';

/** Lets other processes control the card of a command whose {@link CardChoice} says that it does so itself, with what it adds to that. */
export async function offerOwnControl(
  { card, guest, releases }: CardUse,
  own: Pick<ControlledCard, 'clients' | 'handleVolume'>,
): Promise<void> {
  const controlled: ControlledCard = {
    info: card.info,
    get connected() {
      return card.connected;
    },
    get streams() {
      return card.streams;
    },
    get clients() {
      return own.clients;
    },
    handleVolume: () => own.handleVolume?.(),
  };
  const name = guest ? emulatedSocket(process.pid) : cardSocket(card.info.devid);
  releases.push(await offerControl(controlled, { name }));
}
