import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Command } from '../../src/cli/command.ts';
import { loadCommands } from '../../src/cli/commands.ts';
import { manPage } from '../../src/cli/man-page.ts';
import { version } from '../../src/cli/version.ts';

const COMMANDS = await loadCommands();

const page = manPage(COMMANDS, version());
const canFormat = spawnSync('man', ['--version']).status === 0;

test('the build writes it', () => {
  expect(readFileSync(new URL('../../man/vsnd.1', import.meta.url), 'utf8')).toBe(page);
});

test('has every command, with its options', () => {
  for (const { name, options } of COMMANDS) {
    const [, about = ''] = page.split(new RegExp(`^\\.SS vsnd ${name} .*\n`, 'm'));
    const [text = ''] = about.split(/^\.S[SH] /m);
    for (const option of Object.keys(options)) {
      expect(text).toMatch(new RegExp(`^\\\\fB(\\\\-\\w, )?\\\\-\\\\-${option}\\b`, 'm'));
    }
  }
});

test('is ASCII, in short lines that roff takes for text or for a macro of man(7)', () => {
  for (const line of page.split('\n')) {
    expect(line).toMatch(/^[ -~]*$/);
    expect(line).toMatch(/^[^.']|^$|^\.(TH|SH|SS|TP|PP|RS|RE|br)\b/);
  }
});

const nasty = ".sp 'quoted' C:\\new ~/.x ^a-b - --c-d \\fB e- `f`";
const odd: Command = {
  name: 'odd',
  summary: 'odd',
  description: [nasty],
  options: {},
  examples: {},
  run: async () => true,
};

test('text is not taken for requests', () => {
  const text = String.raw`\&.sp \(aqquoted\(aq C:\(rsnew \(ti/.x \(haa-b \- \-\-c-d \(rsfB e\- \(gaf\(ga`;
  expect(manPage([odd], '1').replaceAll('\n', ' ')).toContain(text);
});

test.runIf(canFormat)('man shows it as it is (with man-db)', () => {
  const args = ['--warnings', '-l', '-'];
  const env = { ...process.env, MANWIDTH: '200', LC_ALL: 'C', MANROFFOPT: '-c' };
  const { stdout, stderr } = spawnSync('man', args, { input: manPage([odd], '1'), env, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toContain(nasty);
});
