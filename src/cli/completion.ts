import { parseOneOf, UsageError } from './arguments.ts';
import { defineCommand } from './command.ts';
import { bashCompletion } from './completion/bash.ts';
import { fishCompletion } from './completion/fish.ts';
import { zshCompletion } from './completion/zsh.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** `vsnd completion`: prints what makes a shell complete the other commands. */
export const completion = defineCommand({
  name: 'completion',
  summary: 'print what makes a shell complete vsnd',
  operands: { usage: 'bash|zsh|fish', most: 1, complete: SHELLS },
  description: [
    `Prints a script that makes the shell complete vsnd's commands and options, their values, and names of
    files.`,
  ],
  options: {},
  examples: {
    'source <(vsnd completion bash)': 'for this bash; in ~/.bashrc, for each',
    'vsnd completion zsh >~/.zfunc/_vsnd': 'where ~/.zshrc has fpath+=~/.zfunc before compinit',
    'vsnd completion fish >~/.config/fish/completions/vsnd.fish': 'for each fish',
  },
  run: async ({ operands: [name] }, { terminal, loadCommands }) => {
    const shell = parseOneOf('the shell', name, SHELLS);
    if (shell === undefined) throw new UsageError(`the shell is missing; allowed: ${SHELLS.join(', ')}`);
    terminal.say(SCRIPTS[shell](await loadCommands()));
    return true;
  },
});
