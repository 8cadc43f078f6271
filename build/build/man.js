// Writes the man page, from what the built command says of itself.
import { mkdirSync, writeFileSync } from 'node:fs';
import { COMMANDS } from '../dist/cli/commands.js';
import { manPage } from '../dist/cli/man-page.js';
import { version } from '../dist/cli/version.js';

const directory = new URL('../man/', import.meta.url);
mkdirSync(directory, { recursive: true });
writeFileSync(new URL('vsnd.1', directory), manPage(COMMANDS, version()));
