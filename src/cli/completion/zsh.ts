import type { Command } from '../command.ts';
import { type Expected, expectedOperand, expectedValue, quote, shortText } from './expected.ts';

/** A completion script for zsh, for a folder of $fpath or to be sourced after compinit. */
export function zshCompletion(commands: readonly Command[]): string {
  const list = [...commands, { name: 'help', summary: 'say more about a command' }];
  return `#compdef vsnd
# Completion of vsnd for zsh.

# _vsnd_offer FILE WORD...: words, and names of files behind FILE, unless that is 'none'.
_vsnd_offer() {
  local file=$1
  shift
  if [[ $file != none && $PREFIX == $file* ]] && compset -P $file; then
    _files
    return
  fi
  compadd -S '' -- \${(M)@:#*:}
  compadd -- \${@:#*:}
}

_vsnd_commands() {
  local commands=(
${list.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}`).join('\n')}
  )
  _describe command commands
}

_vsnd() {
  local context state line
  _arguments '(- *)'{-h,--help}'[say what there is]' '(- *)--version[print the version]' \\
    '1: :_vsnd_commands' '*:: :->arguments'
  [[ $state == arguments ]] || return
  case $line[1] in
    help) _arguments '1: :_vsnd_commands' ;;
${commands.map(commandCase).join('\n')}
  esac
}

if [[ $funcstack[1] == _vsnd ]]; then _vsnd "$@"; else compdef _vsnd vsnd; fi`;
}

function commandCase({ name, options, operands }: Command): string {
  const specs = Object.entries(options).flatMap(([long, option]) => {
    const { short, argument, multiple, optional } = option;
    const value =
      argument === undefined
        ? ''
        : `${optional ? '::' : ':'}${inSpec(argument)}:${action(expectedValue(option))}`;
    const text = `[${inSpec(shortText(option))}]${value}`;
    const [times, others] = multiple ? ['*', ''] : ['', `(--${long}${short ? ` -${short}` : ''})`];
    const full = quote(
      `${others}${times}--${long}${argument === undefined ? '' : optional ? '=-' : '='}${text}`,
    );
    return short
      ? [full, quote(`${others}${times}-${short}${argument === undefined ? '' : '+'}${text}`)]
      : [full];
  });
  const operand = operands ? [quote(`*:${inSpec(operands.usage)}:${action(expectedOperand(operands))}`)] : [];
  const all = [...specs, "'(- *)'{-h,--help}'[print help]'", ...operand];
  return `    ${name})\n      _arguments ${all.join(' \\\n        ')} ;;`;
}

/** What _arguments does to offer values. */
function action({ words, fileAfter }: Expected): string {
  if (words.length === 0) return fileAfter === undefined ? ' ' : '_files';
  // Without the first space, options of compadd would come before the arguments.
  return ` ${['_vsnd_offer', fileAfter ?? 'none', ...words].map(inSpec).join(' ')}`;
}

/** Text within a specification of _arguments. */
function inSpec(text: string): string {
  return text.replace(/[\\:[\]]/g, '\\$&');
}
