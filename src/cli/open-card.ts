import { type Card, type CardInfo, type OpenCardOptions, openCard } from '../index.ts';
import type { Terminal } from './terminal.ts';

/** Opens a card for a command, which other processes may control, and says what is wrong with its configuration. */
export async function openCommandCard(options: OpenCardOptions, terminal: Terminal): Promise<Card> {
  const card = await openCard({ control: true, ...options });
  complainOfConfig(card.info, terminal);
  return card;
}

/** A line for each warning about a card's configuration. */
export function complainOfConfig({ warnings }: CardInfo, terminal: Terminal): void {
  for (const { message } of warnings) terminal.complain(`warning: ${message}`);
}
