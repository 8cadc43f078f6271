import type { OptionDescription } from './arguments.ts';
import type { Command, Glossary } from './command.ts';

/** What holds for the command as a whole, and for all of its commands. */
export const MANUAL = {
  summary: 'the Xen virtual sound card of a guest',
  description: [
    `Xen gives a guest a virtual sound card by its para-virtual sound protocol, sndif. vsnd plays and records
    through such a card from user space, at the pace of the positions that the backend reports, and is such a
    backend for Dom0. With --emulate its commands work on any machine: they bring an emulated Xen of their own.`,
    `A command's options and operands may stand in any order; what follows -- is an operand. In a script,
    --json has what a command tells in a form that stays: a value, from one that ends by itself; an object on a
    line, again and again, from one that goes on.`,
  ],
  tryIt: 'vsnd play --emulate',
  environment: {
    'VSND_EMULATE=1': 'the same as --emulate',
    'VSND_DEBUG=1': 'print where in vsnd an error comes from',
    'VSND_ADDON=FILE': "the addon that reaches Xen, where it is not this package's own",
    'NO_COLOR=1': 'no colours',
  },
  exitStatus: {
    '0': 'done; also vsnd backend and vsnd bridge, when SIGTERM has ended them',
    '1': 'failed; standard error says why',
    '2': 'wrong usage',
    '130': 'interrupted (Ctrl-C)',
    '129, 143': 'hung up, terminated',
  },
} as const;

/** The first line of a command's help, after 'Usage:'. */
export function usageOf({ name, operands }: Command): string {
  return ['vsnd', name, ...(operands ? [operands.usage] : []), '[options]'].join(' ');
}

/** An option as the user types it: -d, --duration SECONDS. */
export function optionTerm(name: string, { short, argument, optional }: OptionDescription): string {
  const value = argument === undefined ? '' : optional ? `[=${argument}]` : ` ${argument}`;
  return `${short ? `-${short}, ` : ''}--${name}${value}`;
}

/** What there is to say about an option, its values without a meaning included. */
export function optionText({ help, oneOf }: OptionDescription): string {
  return oneOf ? `${oneOf.slice(0, -1).join(', ')} or ${oneOf.at(-1)}; ${help}` : help;
}

/** The lists of values that have a heading of their own. */
export function valueSections({ options }: Command): [title: string, values: Glossary][] {
  return Object.values(options).flatMap(({ values, valuesTitle }) =>
    values && valuesTitle ? [[valuesTitle, values] as [string, Glossary]] : [],
  );
}
