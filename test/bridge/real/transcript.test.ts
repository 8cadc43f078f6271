import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renewTranscripts } from '../../transcripts/transcript.ts';
import { startPulse } from './sound-server.ts';

const PATH = new URL('../../../docs/commands.md', import.meta.url);

test('docs/commands.md shows what vsnd bridge says (vitest -u writes it anew)', async () => {
  const { env } = await startPulse();
  const document = readFileSync(PATH, 'utf8');
  await expect(await renewTranscripts(document, 'console pulse', env)).toMatchFileSnapshot(PATH.pathname);
});
