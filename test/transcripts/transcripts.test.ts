import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadCommands } from '../../src/cli/commands.ts';
import { renewTranscripts } from './transcript.ts';

const COMMANDS = await loadCommands();

const PATH = new URL('../../docs/commands.md', import.meta.url);
const document = readFileSync(PATH, 'utf8');

test('docs/commands.md has each command, in their order', () => {
  const titles = [...document.matchAll(/^## vsnd (\w+)$/gm)].map(([, name]) => name);
  expect(titles).toEqual(COMMANDS.map(({ name }) => name));
});

test('docs/commands.md shows what they say (vitest -u writes it anew)', { timeout: 300_000 }, async () => {
  await expect(await renewTranscripts(document, 'console')).toMatchFileSnapshot(PATH.pathname);
});
