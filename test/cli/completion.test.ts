import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadCommands } from '../../src/cli/commands.ts';
import { bashCompletion } from '../../src/cli/completion/bash.ts';
import { fishCompletion } from '../../src/cli/completion/fish.ts';
import { zshCompletion } from '../../src/cli/completion/zsh.ts';
import { useDirectory } from '../wav/files.ts';
import { hasScript } from './on-terminal.ts';
import { Running, start, vsnd } from './run.ts';

const COMMANDS = await loadCommands();

const files = useDirectory();
const has = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0;

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };
type Shell = keyof typeof SCRIPTS;
const SHELLS = Object.keys(SCRIPTS) as Shell[];

/** A folder with a song and a file of another name, and the script for a shell beside it. */
function prepare(shell: Shell): { folder: string; script: string } {
  const folder = files.path('music');
  mkdirSync(folder);
  for (const name of ['song.wav', 'take two.wav']) writeFileSync(`${folder}/${name}`, '');
  const script = files.path('script');
  writeFileSync(script, SCRIPTS[shell](COMMANDS));
  return { folder, script };
}

describe.each(SHELLS)('vsnd completion %s', (shell) => {
  test('prints the script', async () => {
    expect(await start(['completion', shell]).ended()).toEqual({
      status: 0,
      stdout: `${SCRIPTS[shell](COMMANDS)}\n`,
      stderr: '',
    });
  });

  test.runIf(has(shell))('which is right by its syntax (with that shell)', () => {
    const { script } = prepare(shell);
    const { status, stderr } = spawnSync(shell, ['-n', script], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});

test.each([
  [['completion'], 'the shell is missing; allowed: bash, zsh, fish'],
  [['completion', 'tcsh'], "the shell is 'tcsh'; allowed: bash, zsh, fish"],
])('%j: status 2', async (args, message) => {
  const stderr = `vsnd: ${message}; see vsnd completion --help\n`;
  expect(await vsnd(args)).toEqual({ status: 2, stdout: '', stderr });
});

const commands = COMMANDS.map(({ name }) => name);

/** What may stand at the end of each line; in the folder of {@link prepare}. */
const OFFERS: [line: string, words: string[]][] = [
  ['vsnd ', [...commands, 'help']],
  ['vsnd rec', ['record']],
  ['vsnd help mon', ['monitor']],
  ['vsnd record --du', ['--duration']],
  ['vsnd record --format s', ['s16_le', 's24_le', 's32_le']],
  ['vsnd record -d 1 -f a', ['a_law']],
  ['vsnd play --sink ', ['pipewire', 'pulse', 'alsa', 'speaker', 'exec:', 'wav:', 'null']],
  ['vsnd play --sink wav:so', ['wav:song.wav']],
  ['vsnd play --card ', []],
  ['vsnd play --loop so', ['song.wav']],
  ['vsnd play so', ['song.wav']],
  ['vsnd monitor --socket t', ['take two.wav']],
  ['vsnd volume m', ['mute']],
  ['vsnd list ', []],
];

describe.runIf(has('bash'))('bash', () => {
  test.each(OFFERS)('%j', (line, words) => {
    const { folder, script } = prepare('bash');
    const input = `source ${script}; COMP_WORDBREAKS=' '; COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}
      _vsnd; for word in "\${COMPREPLY[@]}"; do echo "$word"; done`;
    const { stdout, stderr } = spawnSync('bash', ['-c', input], { cwd: folder, encoding: 'utf8' });
    expect({ words: stdout.split('\n').slice(0, -1).toSorted(), stderr }).toEqual({
      words: words.toSorted(),
      stderr: '',
    });
  });
});

describe.runIf(has('fish'))('fish', () => {
  test.each(OFFERS)('%j', (line, words) => {
    const { folder, script } = prepare('fish');
    const input = `source ${script}; complete -C '${line}'`;
    const env = { ...process.env, HOME: files.path('home') };
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', input], {
      cwd: folder,
      encoding: 'utf8',
      env,
    });
    const offered = stdout
      .split('\n')
      .slice(0, -1)
      .map((text) => text.split('\t', 1)[0]);
    expect({ words: offered.toSorted(), stderr }).toEqual({ words: words.toSorted(), stderr: '' });
  });
});

/** What becomes of a line when Tab is pressed at its end. */
const LINES = [
  ['vsnd rec', 'vsnd record '],
  ['vsnd record --em', 'vsnd record --emulate '],
  ['vsnd record -f a', 'vsnd record -f a_law '],
  ['vsnd play --sink wa', 'vsnd play --sink wav:'],
  ['vsnd play --sink wav:so', 'vsnd play --sink wav:song.wav '],
  ['vsnd play --sink=n', 'vsnd play --sink=null '],
  ['vsnd play so', 'vsnd play song.wav '],
  ['vsnd play mu', 'vsnd play mu'],
  ['vsnd volume u', 'vsnd volume unmute '],
] as const;

describe.each([
  ['bash', 'bash --norc --noprofile -i'],
  ['zsh', 'zsh -f -i'],
] as const)('%s, at a terminal', (shell, command) => {
  test.runIf(has(shell) && hasScript)('completes a line', async () => {
    const { folder, script } = prepare(shell);
    const env = { TERM: 'xterm', HOME: files.path('') };
    const running = new Running('script', ['-qec', `cd '${folder}'; exec ${command}`, '/dev/null'], env);
    onTestFinished(() => void running.child.stdin?.end('\x04'));
    const type = (text: string) => running.child.stdin?.write(text);
    const zsh = "autoload -U compinit; compinit -u -D; bindkey -e; zstyle ':completion:*' insert-tab false; ";
    const prelude = shell === 'zsh' ? zsh : '';
    type(`${prelude}source '${script}'; echo re''ady\r`);
    await running.said('ready');
    for (const [number, [line, completed]] of LINES.entries()) {
      // Then to the line's start, where a command is put before it that prints it.
      type(`${line}\t.\x01printf '%s\\n' ${number}"<\x05>"\r`);
      await running.said(`${number}<${completed}.>`);
    }
    type('exit\r');
    await running.ended();
  });
});
