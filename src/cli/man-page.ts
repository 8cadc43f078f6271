import type { Command, Glossary } from './command.ts';
import { wrap } from './help.ts';
import { MANUAL, optionTerm, optionText, usageOf, valueSections } from './manual.ts';

/** Columns of the source. */
const WIDTH = 78;

/** What roff calls the signs that it would replace. */
const SIGNS: Glossary = { '\\': 'rs', "'": 'aq', '`': 'ga', '^': 'ha', '~': 'ti' };

/** vsnd(1), in the man macros of roff. */
export function manPage(commands: readonly Command[], version: string): string {
  const lines = [
    `.TH VSND 1 "" "vsnd ${version}" "User Commands"`,
    ...['.SH NAME', `vsnd \\- ${literal(MANUAL.summary)}`],
    '.SH SYNOPSIS',
    ...commands.flatMap((command, index) => [...(index === 0 ? [] : ['.br']), bold(usageOf(command))]),
    '.SH DESCRIPTION',
    ...paragraphs(MANUAL.description),
    '.SH COMMANDS',
    ...commands.flatMap(aboutCommand),
    '.SH ENVIRONMENT',
    ...glossary(MANUAL.environment),
    '.SH EXIT STATUS',
    ...glossary(MANUAL.exitStatus),
  ];
  return `${lines.join('\n')}\n`;
}

function aboutCommand(command: Command): string[] {
  return [
    `.SS ${literal(usageOf(command))}`,
    ...paragraphs(command.description),
    ...Object.entries(command.options).flatMap(([name, option]) => [
      ...entry(optionTerm(name, option), optionText(option)),
      ...(option.values && !option.valuesTitle ? ['.RS', ...glossary(option.values), '.RE'] : []),
    ]),
    ...valueSections(command).flatMap(([title, values]) => section(title, glossary(values))),
    ...section('Examples', glossary(command.examples)),
  ];
}

/** A part of what is told of a command. */
function section(title: string, body: readonly string[]): string[] {
  return ['.PP', `${title}:`, '.RS', ...body, '.RE'];
}

function paragraphs(texts: readonly string[]): string[] {
  return texts.flatMap((text, index) => [...(index === 0 ? [] : ['.PP']), ...fill(text)]);
}

function glossary(terms: Glossary): string[] {
  return Object.entries(terms).flatMap(([term, text]) => entry(term, text));
}

function entry(term: string, text: string): string[] {
  return ['.TP', bold(term), ...fill(text)];
}

function bold(text: string): string {
  return `\\fB${literal(text)}\\fR`;
}

function fill(text: string): string[] {
  return wrap(literal(text), WIDTH);
}

/** Text as it stands there: no character of it is for roff, nor becomes another one. A hyphen within a word may stay. */
function literal(text: string): string {
  return text
    .replace(/[\\'`^~]/g, (sign) => `\\(${SIGNS[sign]}`)
    .replace(/(?<![a-z])-|-(?![a-z])/gi, '\\-')
    .replace(/(?<=^|\s)\./g, '\\&.');
}
