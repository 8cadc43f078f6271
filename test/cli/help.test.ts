import { describe, expect, test } from 'vitest';
import { commandNamed, loadCommands } from '../../src/cli/commands.ts';
import { commandHelp, generalHelp, wrap } from '../../src/cli/help.ts';

const COMMANDS = await loadCommands();

describe.each(COMMANDS)('vsnd $name', (command) => {
  const help = commandHelp(command);

  test('fits 80 columns, without blanks at an end', () => {
    for (const line of help.split('\n')) {
      expect(line.length, line).toBeLessThanOrEqual(80);
      expect(line).toBe(line.trimEnd());
    }
  });

  test('names every option and each of its values', () => {
    for (const [name, { values = {}, oneOf = [] }] of Object.entries(command.options)) {
      expect(help).toMatch(new RegExp(`^ {2}(-\\w, )?--${name}\\b`, 'm'));
      for (const value of Object.keys(values)) expect(help.replaceAll('\n', ' \n')).toContain(`  ${value} `);
      for (const value of oneOf) expect(help).toContain(value);
    }
    expect(help).toContain('  -h, --help');
  });

  test('shows examples, of itself', () => {
    const examples = Object.keys(command.examples);
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      expect(example).toMatch(new RegExp(`\\bvsnd ${command.name}\\b`));
      expect(help).toContain(`\n  ${example}\n`);
    }
  });

  test('is in the general help', () => {
    expect(generalHelp(COMMANDS)).toMatch(new RegExp(`^ {2}${command.name} +${command.summary}$`, 'm'));
  });
});

test('the general help fits 80 columns', () => {
  for (const line of generalHelp(COMMANDS).split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
});

test('a command that there is not', async () => {
  await expect(commandNamed('nope')).rejects.toThrow("unknown command 'nope'");
  await expect(commandNamed('--nope')).rejects.toThrow("unknown option '--nope'");
  await expect(commandNamed('toString')).rejects.toThrow("unknown command 'toString'");
});

test('lines are as full as they may be, and a long word has one of its own', () => {
  expect(wrap(' a bb\n  ccc dddddddd e ', 6)).toEqual(['a bb', 'ccc', 'dddddddd', 'e']);
});
