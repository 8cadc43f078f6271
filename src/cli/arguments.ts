import { type ParseArgsConfig, parseArgs } from 'node:util';
import { isVsndError } from '../errors.ts';
import { didYouMean } from './did-you-mean.ts';

/** Wrong usage: the message names the argument; exit status 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Throws what a wrong value of the command line has led to: ERR_VSND_INVALID_ARG as a {@link UsageError}, all else as it is. */
export function throwUsageError(error: unknown): never {
  throw isVsndError(error, 'ERR_VSND_INVALID_ARG') ? new UsageError(error.message) : error;
}

export interface OptionDescription {
  /** One letter. */
  readonly short?: string;
  /** What stands for its value, as in HZ; undefined where the option has none. */
  readonly argument?: string;
  /** Whether its value may be left out, and else stands behind a =: '' is then its value. */
  readonly optional?: true;
  /** Whether it may be given several times. */
  readonly multiple?: true;
  /** White space is free. */
  readonly help: string;
  /** Its values, where their names say it all. */
  readonly oneOf?: readonly string[];
  /** Values that a shell may offer, where the help has them in words. */
  readonly offer?: readonly string[];
  /** Its values, and what each means. What is in capitals stands for something: wav:FILE. */
  readonly values?: Readonly<Record<string, string>>;
  /** A heading of their own for the values; by default they stand below the option. */
  readonly valuesTitle?: string;
}

/** By the options' long names. */
export type OptionDescriptions = Readonly<Record<string, OptionDescription>>;

type Value<T extends OptionDescription> = T extends { argument: string } ? string : boolean;
export type OptionValues<T extends OptionDescriptions> = {
  [Name in keyof T]?: T[Name] extends { multiple: true } ? Value<T[Name]>[] : Value<T[Name]>;
};

/** What the user has typed. */
export interface CommandLine<T extends OptionDescriptions> {
  readonly values: OptionValues<T>;
  readonly operands: readonly string[];
}

/** Stands for the sign of a negative number: no argument can contain it. */
const MINUS = '\0';

/** The options and the operands of a command, which takes so many. Throws {@link UsageError}. */
export function parseCommandLine<T extends OptionDescriptions>(
  args: readonly string[],
  options: T,
  mostOperands = 0,
): CommandLine<T> {
  const { values, operands } = parseStrictly(args, options);
  const extra = operands[mostOperands];
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`);
  return { values: values as OptionValues<T>, operands };
}

function parseStrictly(args: readonly string[], options: OptionDescriptions) {
  // node:util takes a negative number for options; none of ours begins with a digit.
  const hidden = withEmptyValues(args, options).map((arg) => arg.replace(/^-(?=\.?\d)/, MINUS));
  const shown = (text: string) => text.replace(MINUS, '-');
  try {
    const { values, positionals } = parseArgs({
      args: hidden,
      options: descriptors(options),
      allowPositionals: true,
    });
    return { values: mapStrings(values, shown), operands: positionals.map(shown) };
  } catch (error) {
    // The first sentence names the argument; advice that vsnd's users do not need may follow.
    const [sentence = ''] = (error as Error).message.split(/\.\s/, 1);
    const [, unknown] = /^Unknown option '(--[^']+)'$/.exec(sentence) ?? [];
    const names = [...Object.keys(options), 'help'].map((name) => `--${name}`);
    const hint = unknown === undefined ? '' : didYouMean(unknown, names);
    throw new UsageError(sentence.charAt(0).toLowerCase() + sentence.slice(1) + hint);
  }
}

/** An option whose value may be left out takes nothing from behind it. */
function withEmptyValues(args: readonly string[], options: OptionDescriptions): string[] {
  const end = args.includes('--') ? args.indexOf('--') : args.length;
  return args.map((arg, at) => {
    const isBare = at < end && arg.startsWith('--') && options[arg.slice(2)]?.optional;
    return isBare ? `${arg}=` : arg;
  });
}

/** The options as node:util wants them. */
function descriptors(options: OptionDescriptions): NonNullable<ParseArgsConfig['options']> {
  const entries = Object.entries(options).map(([name, { short, argument, multiple }]) => [
    name,
    {
      type: argument === undefined ? 'boolean' : 'string',
      ...(short && { short }),
      multiple: multiple ?? false,
    },
  ]);
  return Object.fromEntries(entries);
}

function mapStrings(values: object, map: (text: string) => string): object {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]: [string, unknown]) => {
      if (Array.isArray(value)) return [name, value.map(map)];
      return [name, typeof value === 'string' ? map(value) : value];
    }),
  );
}

/** The value of an option that is a number within a range. Throws {@link UsageError}. */
export function parseNumber(
  option: string,
  value: string | undefined,
  { min, max, unit }: { min: number; max: number; unit: string },
): number | undefined {
  if (value === undefined) return undefined;
  const number = /^-?\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new UsageError(`${option} is '${value}'; allowed: ${min} to ${max} ${unit}`);
}

/** The value of an option that counts from 0. Throws {@link UsageError}. */
export function parseIndex(option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,9}$/.test(value)) throw new UsageError(`${option} is '${value}'; allowed: 0, 1, 2, ...`);
  return Number(value);
}

/** Seconds, of an option that is a time: 90, 1:30 or 1:02:03.5. Throws {@link UsageError}. */
export function parseTime(option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const isTime = /^(\d{1,7}:)?(\d{1,2}:)?\d{1,7}(\.\d{1,9})?$/.test(value);
  const parts = value.split(':').map(Number);
  if (isTime && parts.slice(1).every((part) => part < 60)) {
    return parts.reduce((seconds, part) => seconds * 60 + part, 0);
  }
  throw new UsageError(`${option} is '${value}'; allowed: seconds, as in 90 or 1.5, or 1:30, or 1:02:03`);
}

/** The value of an option that is one of some words, in capitals or not. Throws {@link UsageError}. */
export function parseOneOf<T extends string>(
  option: string,
  value: string | undefined,
  allowed: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const word = allowed.find((one) => one === value.toLowerCase());
  if (word !== undefined) return word;
  throw new UsageError(`${option} is '${value}'; allowed: ${allowed.join(', ')}`);
}
