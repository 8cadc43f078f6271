import { invalidArgError, VsndError } from './errors.ts';

/** The names of all options of a kind: the compiler sees to it that none is missing. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

/**
 * Throws ERR_VSND_INVALID_ARG where `options` is no object, or has an option that there is not: a misspelt one would be
 * without effect, and nobody would know. `what`: the function that was called with them.
 */
export function checkOptionNames<Options>(what: string, options: unknown, names: OptionNames<Options>): void {
  const allowed = Object.keys(names).join(', ');
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalidArgError(`the options argument of ${what}`, options, `an object with some of ${allowed}`);
  }
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(names, name));
  if (unknown === undefined) return;
  const message = `${what} has no option ${JSON.stringify(unknown.slice(0, 80))}; allowed: ${allowed}`;
  throw new VsndError('ERR_VSND_INVALID_ARG', message, { option: unknown });
}
