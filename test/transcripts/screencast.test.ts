import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { hasScript } from '../cli/on-terminal.ts';
import { drawnScreen, drawSession, lastScreen, recordSession } from './screencast.ts';
import { isSame, Shell } from './transcript.ts';

const PATH = new URL('../../docs/terminal.svg', import.meta.url);

/** What somebody types who looks at vsnd for the first time. */
const SESSION = ['vsnd play --emulate --sink null hello.wav', 'vsnd doctor --emulate'];

test.skipIf(!hasScript)(
  'docs/terminal.svg is what a terminal shows (vitest -u records it anew)',
  async () => {
    const shell = new Shell({});
    try {
      const showings = await recordSession(SESSION, shell);
      expect(showings.filter(({ text }) => text.startsWith('0:0')).length).toBeGreaterThan(4); // it moves
      const drawn = existsSync(PATH) ? readFileSync(PATH, 'utf8') : '';
      const isStale = !isSame(lastScreen(showings), drawnScreen(drawn));
      await expect(isStale ? drawSession(showings) : drawn).toMatchFileSnapshot(PATH.pathname);
    } finally {
      await shell.close();
    }
  },
);
