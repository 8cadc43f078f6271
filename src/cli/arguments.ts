import { parseArgs } from 'node:util';

/** Wrong usage: the message names the argument; exit status 2. */
export class UsageError extends Error {
  /** What to ask for help about, as in 'play'. */
  readonly command: string | undefined;

  constructor(message: string, command?: string) {
    super(message);
    this.name = 'UsageError';
    this.command = command;
  }
}

/** The options that a command has. */
type Options = Record<string, { type: 'boolean' | 'string'; short?: string; multiple?: true }>;
type Value<T extends Options[string]> = T['type'] extends 'boolean' ? boolean : string;
type Values<T extends Options> = {
  [Name in keyof T]?: T[Name] extends { multiple: true } ? Value<T[Name]>[] : Value<T[Name]>;
};

/** Stands for the sign of a negative number: no argument can contain it. */
const MINUS = '\0';

/** The options and the one file name, or other operand, of a command. Throws {@link UsageError}. */
export function parseCommandLine<T extends Options>(
  command: string,
  args: string[],
  options: T,
  { takesFile }: { takesFile: boolean },
): { values: Values<T>; file: string | undefined } {
  const { values, positionals } = parseStrictly(command, args, options);
  const extra = positionals[takesFile ? 1 : 0];
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`, command);
  return { values: values as Values<T>, file: positionals[0] };
}

function parseStrictly(command: string, args: string[], options: Options) {
  // node:util takes a negative number for options; none of ours begins with a digit.
  const hidden = args.map((arg) => arg.replace(/^-(?=\.?\d)/, MINUS));
  const shown = (text: string) => text.replace(MINUS, '-');
  try {
    const { values, positionals } = parseArgs({ args: hidden, options, allowPositionals: true });
    return { values: mapStrings(values, shown), positionals: positionals.map(shown) };
  } catch (error) {
    // The first sentence names the argument; advice that vsnd's users do not need may follow.
    const [sentence = ''] = (error as Error).message.split(/\.\s/, 1);
    throw new UsageError(sentence.charAt(0).toLowerCase() + sentence.slice(1), command);
  }
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
  command: string,
  option: string,
  value: string | undefined,
  { min, max, unit }: { min: number; max: number; unit: string },
): number | undefined {
  if (value === undefined) return undefined;
  const number = /^-?\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new UsageError(`${option} is '${value}'; allowed: ${min} to ${max} ${unit}`, command);
}

/** The value of an option that counts from 0. Throws {@link UsageError}. */
export function parseIndex(command: string, option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,9}$/.test(value))
    throw new UsageError(`${option} is '${value}'; allowed: 0, 1, 2, ...`, command);
  return Number(value);
}
