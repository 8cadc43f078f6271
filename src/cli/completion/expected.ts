import type { OptionDescription } from '../arguments.ts';
import type { Operands } from '../command.ts';

/** What a shell can offer in a place. */
export interface Expected {
  /** One that ends with a colon goes on. */
  readonly words: readonly string[];
  /** What stands before a file's name there; undefined where none is meant. */
  readonly fileAfter: string | undefined;
}

const NOTHING: Expected = { words: [], fileAfter: undefined };

/** What may follow an option. */
export function expectedValue({ argument, oneOf, offer = oneOf, values }: OptionDescription): Expected {
  if (argument === 'FILE') return { words: [], fileAfter: '' };
  if (offer) return { words: offer, fileAfter: undefined };
  const terms = Object.keys(values ?? {});
  const withFile = terms.find((term) => term.endsWith(':FILE'));
  // What is in capitals is the user's to say.
  return { words: terms.map(withoutCapitals), fileAfter: withFile && withoutCapitals(withFile) };
}

/** What a command's other arguments may be. */
export function expectedOperand(operands: Operands | undefined): Expected {
  if (operands === undefined) return NOTHING;
  return operands.complete === 'files'
    ? { words: [], fileAfter: '' }
    : { words: operands.complete, fileAfter: undefined };
}

/** A few words about an option, for a list. */
export function shortText({ help }: OptionDescription): string {
  const [text = ''] = help.split(';', 1);
  return text.trim().replace(/\s+/g, ' ');
}

/** A word that no POSIX shell takes apart. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function withoutCapitals(term: string): string {
  return term.replace(/[A-Z]+$/, '');
}
