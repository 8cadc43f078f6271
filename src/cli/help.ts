import type { Command, Glossary } from './command.ts';
import { MANUAL, optionTerm, optionText, usageOf, valueSections } from './manual.ts';
import { pageNames } from './pages.ts';

const WIDTH = 80;
/** Columns: a longer term has a line of its own. */
const LONGEST_TERM = 22;

/** The help text of vsnd, with all its commands. */
export function generalHelp(commands: readonly Command[]): string {
  const list = Object.fromEntries(commands.map(({ name, summary }) => [name, summary]));
  return [
    `vsnd: ${MANUAL.summary}`,
    ['Usage:', '  vsnd COMMAND [options]', '  vsnd help COMMAND|PAGE.md', '  vsnd -V, --version'].join('\n'),
    section('Commands', glossary({ ...list, help: 'say more about a command, or print a page' })),
    section('Pages', `  ${wrap(pageNames().join(' '), WIDTH - 2).join('\n  ')}`),
    section('Try it without Xen', `  ${MANUAL.tryIt}`),
    section('Environment', glossary(MANUAL.environment)),
    section('Exit status', glossary(MANUAL.exitStatus)),
  ].join('\n\n');
}

/** The help text of one command. */
export function commandHelp(command: Command): string {
  return [
    `Usage: ${usageOf(command)}`,
    ...command.description.map((paragraph) => wrap(paragraph, WIDTH).join('\n')),
    section('Options', options(command)),
    ...valueSections(command).map(([title, values]) => section(title, glossary(values))),
    section('Examples', examples(command.examples)),
  ].join('\n\n');
}

function section(title: string, text: string): string {
  return `${title}:\n${text}`;
}

function options({ options }: Command): string {
  const entries = Object.entries(options).map(([name, option]): Entry => {
    const { values, valuesTitle } = option;
    return {
      term: optionTerm(name, option),
      text: optionText(option),
      ...(values && !valuesTitle && { values }),
    };
  });
  return list([...entries, { term: '-h, --help', text: 'print this' }], 2, WIDTH);
}

function examples(examples: Glossary): string {
  return Object.entries(examples)
    .map(([command, text]) => `  ${command}\n${indent(wrap(text, WIDTH - 6), 6)}`)
    .join('\n');
}

function glossary(terms: Glossary): string {
  return list(
    Object.entries(terms).map(([term, text]) => ({ term, text })),
    2,
    WIDTH,
  );
}

interface Entry {
  term: string;
  text: string;
  /** A list below the text. */
  values?: Glossary;
}

/** Terms in a column, texts in another, within `width` columns. */
function list(entries: readonly Entry[], margin: number, width: number): string {
  const lengths = entries.map(({ term }) => term.length).filter((length) => length <= LONGEST_TERM);
  const column = margin + Math.max(...lengths) + 2;
  return entries
    .map(({ term, text, values = {} }) => {
      const below = Object.entries(values).map(([term, text]) => ({ term, text }));
      const lines = [
        ...wrap(text, width - column),
        ...(below.length > 0 ? list(below, 2, width - column).split('\n') : []),
      ];
      const start = ' '.repeat(margin) + term;
      const first = start.length + 2 > column ? `${start}\n` : start.padEnd(column);
      const body = indent(lines, column);
      return first.endsWith('\n') ? first + body : first + body.trimStart();
    })
    .join('\n');
}

function indent(lines: readonly string[], columns: number): string {
  return lines.map((line) => ' '.repeat(columns) + line).join('\n');
}

/** Lines of at most `width` columns. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.trim().split(/\s+/)) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
