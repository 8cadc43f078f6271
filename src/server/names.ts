import { invalidArgError } from '../errors.ts';
import type { CardInfo } from '../frontend/discovery.ts';

const NAME = /^[A-Za-z0-9._-]{1,100}$/;

/** Throws ERR_VSND_INVALID_ARG for what cannot be the name of a sink or source. */
export function checkName(name: string | undefined): void {
  if (name !== undefined && !NAME.test(name)) {
    throw invalidArgError('name', name, "1 to 100 letters, digits, '.', '_' and '-'");
  }
}

/** What programs choose a card by, from what its toolstack calls it. */
export function cardName({ devid, shortName, longName }: CardInfo): string {
  const name = (shortName ?? longName)?.replace(/[^A-Za-z0-9._-]+/g, '_').slice(0, 100);
  return name && /[A-Za-z0-9]/.test(name) ? name : `vsnd-card-${devid}`;
}

/** A toolstack's words, for people, and for a command line. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}"'\\]/gu, ' ').slice(0, 100);
}
