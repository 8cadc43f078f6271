import { invalidArgError } from '../errors.ts';

/** What a value may be: for whoever checks it, for whoever is told, and for TypeScript. */
export interface Schema<T> {
  /** As a person reads it. */
  readonly allowed: string;
  readonly fits: (value: unknown) => value is T;
}

/** May be left out. */
export interface OptionalSchema<T> extends Schema<T | undefined> {
  readonly isOptional: true;
}

/** By their names. */
export type Fields = Readonly<Record<string, Schema<unknown>>>;

/** What fits a schema. */
export type Of<S> = S extends Schema<infer T> ? T : never;

/** An object with fields that fit; those that are optional may be left out. */
export type ObjectOf<F extends Fields> = {
  readonly [Name in keyof F as F[Name] extends OptionalSchema<unknown> ? never : Name]: Of<F[Name]>;
} & { readonly [Name in keyof F as F[Name] extends OptionalSchema<unknown> ? Name : never]?: Of<F[Name]> };

const schema = <T>(allowed: string, fits: (value: unknown) => boolean): Schema<T> => ({
  allowed,
  fits: (value): value is T => fits(value),
});

export const STRING = schema<string>('a string', (value) => typeof value === 'string');
export const NUMBER = schema<number>('a number', (value) => typeof value === 'number');
export const BOOLEAN = schema<boolean>('true or false', (value) => typeof value === 'boolean');
export const INDEX = schema<number>(
  'a whole number from 0',
  (value) => Number.isSafeInteger(value) && Number(value) >= 0,
);

/** A string that is taken for one of some words, which another version of vsnd may have more of. */
export const word = <T extends string>(): Schema<T> => schema<T>(STRING.allowed, STRING.fits);

export const oneOf = <T extends string>(...words: readonly T[]): Schema<T> =>
  schema<T>(words.join(', '), (value) => words.some((one) => one === value));

export const optional = <T>({ allowed, fits }: Schema<T>): OptionalSchema<T> => ({
  ...schema<T | undefined>(allowed, (value) => value === undefined || fits(value)),
  isOptional: true,
});

export const either = <A, B>(one: Schema<A>, other: Schema<B>, allowed: string): Schema<A | B> =>
  schema<A | B>(allowed, (value) => one.fits(value) || other.fits(value));

export const listOf = <T>({ fits }: Schema<T>, allowed = 'an array'): Schema<readonly T[]> =>
  schema<readonly T[]>(allowed, (value) => Array.isArray(value) && value.every((one) => fits(one)));

/** Fields that are not named may be there, too: another version of vsnd says more. */
export const object = <F extends Fields>(fields: F): Schema<ObjectOf<F>> =>
  schema<ObjectOf<F>>('an object', (value) => {
    if (typeof value !== 'object' || value === null) return false;
    const all = value as Readonly<Record<string, unknown>>;
    return Object.entries(fields).every(([name, { fits }]) => fits(all[name]));
  });

/** Takes an object of exactly these fields. Throws ERR_VSND_INVALID_ARG, which names the one that does not fit. */
export function checkFields<F extends Fields>(
  what: string,
  value: unknown,
  fields: F,
): asserts value is ObjectOf<F> {
  const names = Object.keys(fields);
  if (typeof value !== 'object' || value === null) throw invalidArgError(what, value, 'an object');
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalidArgError('a parameter', unknown, names.join(', ') || 'none');
  for (const [name, { fits, allowed }] of Object.entries(fields)) {
    const field = (value as Record<string, unknown>)[name];
    if (!fits(field)) throw invalidArgError(name, field, allowed);
  }
}
