import type { Fields } from '../pulse/messages.ts';
import type { PulseRequest, RequestName, RequestOf } from '../pulse/requests.ts';
import { ACTIONS } from './actions.ts';
import type { Asking } from './hub.ts';
import { QUESTIONS } from './questions.ts';
import { TRANSACTIONS } from './transactions.ts';

/** What answers each request: one that is missing does not compile. */
const ANSWERS: {
  readonly [Name in RequestName]: (asking: Asking, fields: RequestOf<Name>) => unknown;
} = { ...QUESTIONS, ...TRANSACTIONS, ...ACTIONS };

const NOTHING: Fields = () => {};

/**
 * Carries out what a client asks for, and gives the reply's fields; a promise of them where that takes time. Throws, or
 * rejects with, PulseError.
 */
export function answer(asking: Asking, { name, fields }: PulseRequest): Fields | Promise<Fields> {
  const carryOut = ANSWERS[name] as (asking: Asking, fields: object) => Fields | Promise<Fields> | undefined;
  return carryOut(asking, fields) ?? NOTHING;
}
