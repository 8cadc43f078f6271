import type { OptionDescription } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Expected, expectedOperand, expectedValue, shortText } from './expected.ts';

/** A completion script for fish. */
export function fishCompletion(commands: readonly Command[]): string {
  const names = [...commands.map(({ name }) => name), 'help'].join(' ');
  const first = `not __fish_seen_subcommand_from ${names}`;
  return `# Completion of vsnd for fish.

# Names of files behind a word that begins so.
function __vsnd_files
    set -l token (string replace -r -- '^--[^=]*=' '' (commandline -ct))
    string match -q -- "$argv[1]*" $token
    and for name in (__fish_complete_path (string sub -s (math 1 + (string length -- $argv[1])) -- $token))
        echo $argv[1]$name
    end
end

complete -c vsnd -f
complete -c vsnd -n ${quote(first)} -l help -s h -d 'say what there is'
complete -c vsnd -n ${quote(first)} -l version -d 'print the version'
${commands.map(({ name, summary }) => `complete -c vsnd -n ${quote(first)} -a ${name} -d ${quote(summary)}`).join('\n')}
complete -c vsnd -n ${quote(first)} -a help -d 'say more about a command'
complete -c vsnd -n '__fish_seen_subcommand_from help' -a ${quote(commands.map(({ name }) => name).join(' '))}
${commands.flatMap(aboutCommand).join('\n')}`;
}

function aboutCommand({ name, options, operands }: Command): string[] {
  const start = `complete -c vsnd -n ${quote(`__fish_seen_subcommand_from ${name}`)}`;
  const operand = offer(expectedOperand(operands));
  return [
    ...Object.entries(options).map(([long, option]) => `${start} ${aboutOption(long, option)}`),
    `${start} -l help -s h -d 'print help'`,
    ...(operand ? [`${start} ${operand}`] : []),
  ];
}

function aboutOption(long: string, option: OptionDescription): string {
  const { short, argument, optional } = option;
  return [
    `-l ${long}`,
    ...(short ? [`-s ${short}`] : []),
    ...(argument === undefined || optional ? [] : [`-x ${offer(expectedValue(option))}`.trimEnd()]),
    `-d ${quote(shortText(option))}`,
  ].join(' ');
}

function offer({ words, fileAfter }: Expected): string {
  if (fileAfter === '') return '-a \'(__vsnd_files "")\'';
  const files = fileAfter === undefined ? [] : [`(__vsnd_files ${fileAfter})`];
  const all = [...words, ...files];
  return all.length === 0 ? '' : `-a ${quote(all.join(' '))}`;
}

/** As fish has it. */
function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
