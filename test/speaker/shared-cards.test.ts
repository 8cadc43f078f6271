import { expect, test } from 'vitest';
import { listCards, openCard } from '../../src/open-card.ts';
import { SharedCards } from '../../src/speaker/shared-cards.ts';
import { createSoundCard, type TestGuest } from '../../src/testing.ts';
import { startGuest } from '../frontend/setup.ts';

const { signal } = new AbortController();

function shareCardsOf({ hypervisor }: TestGuest): { cards: SharedCards; opened: () => number } {
  let count = 0;
  const cards = new SharedCards({
    openCard: (options) => {
      count++;
      return openCard({ ...options, hypervisor });
    },
    listCards: () => listCards({ hypervisor }),
  });
  return { cards, opened: () => count };
}

test('two who want a card at once share it; it is open until both have left', async () => {
  const { cards, opened } = shareCardsOf(await startGuest());
  const [one, other] = await Promise.all([cards.join(undefined, signal), cards.join(undefined, signal)]);
  expect(one.card).toBe(other.card);
  await one.leave();
  expect(other.card.connected).toBe(true);
  await other.leave();
  expect(other.card.connected).toBe(false);
  expect(opened()).toBe(1);
});

test('who comes while the last one leaves gets the card opened again', async () => {
  const { cards, opened } = shareCardsOf(await startGuest());
  const first = await cards.join(undefined, signal);
  const [, second] = await Promise.all([first.leave(), cards.join(undefined, signal)]);
  expect(second.card.connected).toBe(true);
  expect(opened()).toBe(2);
  await second.leave();
});

test('the first card is one card, by its number and without; another one is another', async () => {
  const guest = await startGuest();
  createSoundCard(guest.machine, {
    frontendDomid: 1,
    devid: 3,
    fields: { 'buffer-size': '65536' },
    pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
  });
  const { cards } = shareCardsOf(guest);
  const third = await cards.join(3, signal);
  const first = await cards.join(undefined, signal);
  const zeroth = await cards.join(0, signal);
  expect(first.card).toBe(zeroth.card);
  expect([first.card.info.devid, third.card.info.devid]).toEqual([0, 3]);
  for (const share of [first, third, zeroth]) await share.leave();
});

test('an error is for who asked: the next one is served', async () => {
  const { cards } = shareCardsOf(await startGuest());
  const lost = cards.join(7, signal);
  const found = cards.join(undefined, signal);
  await expect(lost).rejects.toMatchObject({ code: 'ERR_VSND_NO_CARD' });
  await (await found).leave();
});

test('who has gone before its turn opens nothing', async () => {
  const { cards, opened } = shareCardsOf(await startGuest());
  const gone = { name: 'AbortError', code: 'ABORT_ERR' };
  await expect(cards.join(undefined, AbortSignal.abort())).rejects.toMatchObject(gone);
  expect(opened()).toBe(0);
});
