import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadCommands } from '../../src/cli/commands.ts';
import { didYouMean } from '../../src/cli/did-you-mean.ts';
import { commandHelp, generalHelp, wrap } from '../../src/cli/help.ts';
import { findPage, pageNames } from '../../src/cli/pages.ts';

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

test('the general help names every page, and each can be printed', () => {
  const help = generalHelp(COMMANDS).split(/\s+/);
  expect(pageNames()).toContain('guest-setup.md');
  for (const name of pageNames()) {
    expect(help).toContain(name);
    for (const topic of [name, `docs/${name}`, name.slice(0, -3)]) expect(findPage(topic)).toMatch(/^# /);
  }
  expect(findPage('../README')).toBeUndefined();
});

test.each(
  readdirSync(new URL('../../src', import.meta.url), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  ),
)('src/%s sends users to pages that there are', (name) => {
  const text = readFileSync(new URL(`../../src/${name}`, import.meta.url), 'utf8');
  for (const [, page] of text.matchAll(/vsnd help ([a-z-]+\.md)/g)) expect(pageNames()).toContain(page);
});

test.each([
  ['recrod', "; did you mean 'record'?"],
  ['lst', "; did you mean 'list'?"],
  ['monitro', "; did you mean 'monitor'?"],
  ['sing', ''],
  ['', ''],
])('for %j: %j', (word, said) => {
  expect(
    didYouMean(
      word,
      COMMANDS.map(({ name }) => name),
    ),
  ).toBe(said);
});

test('lines are as full as they may be, and a long word has one of its own', () => {
  expect(wrap(' a bb\n  ccc dddddddd e ', 6)).toEqual(['a bb', 'ccc', 'dddddddd', 'e']);
});
