import type { Command } from '../command.ts';
import { type Expected, expectedOperand, expectedValue, quote } from './expected.ts';

/** A completion script for bash 4.3 and newer. */
export function bashCompletion(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name);
  return `# Completion of vsnd for bash.
_vsnd() {
  local line=\${COMP_LINE:0:COMP_POINT} words command='' current previous offer='' file=none name
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  ((\${#words[@]} > 2)) && command=\${words[1]}
  current=\${words[-1]} previous=\${words[-2]}
  if [[ $current == --*=* ]]; then previous=\${current%%=*} current=\${current#*=}; fi
  case "$command $previous" in
${commands.flatMap(valueCases).join('\n')}
    *)
      case $command in
        '') if [[ $current == -* ]]; then offer='--help --version'; else offer=${quote([...names, 'help'].join(' '))}; fi ;;
        help) offer=${quote(names.join(' '))} ;;
${commands.map(commandCase).join('\n')}
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$offer" -- "$current"))
  if [[ $file != none && $current == "$file"* ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r name; do COMPREPLY+=("$file$name"); done < <(compgen -f -- "\${current#"$file"}")
  fi
  [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
  # To readline, a word begins behind the colon.
  [[ $COMP_WORDBREAKS == *:* ]] && COMPREPLY=("\${COMPREPLY[@]#"\${current%"\${current##*:}"}"}")
}
complete -F _vsnd vsnd`;
}

/** What is offered behind each option of a command that has a value. */
function valueCases({ name, options }: Command): string[] {
  return Object.entries(options)
    .filter(([, { argument, optional }]) => argument !== undefined && !optional)
    .map(([long, option]) => {
      const spellings = [`--${long}`, ...(option.short ? [`-${option.short}`] : [])];
      const pattern = spellings.map((spelling) => quote(`${name} ${spelling}`)).join('|');
      return `    ${pattern}) ${assignments(expectedValue(option))};;`;
    });
}

/** What is offered elsewhere. */
function commandCase({ name, options, operands }: Command): string {
  const spellings = [...Object.keys(options), 'help'].map((long) => `--${long}`).join(' ');
  const other = assignments(expectedOperand(operands));
  return `        ${name}) if [[ $current == -* ]]; then offer=${quote(spellings)}; else ${other || ':'}; fi ;;`;
}

function assignments({ words, fileAfter }: Expected): string {
  const offer = words.length > 0 ? `offer=${quote(words.join(' '))} ` : '';
  return fileAfter === undefined ? offer : `${offer}file=${quote(fileAfter)} `;
}
