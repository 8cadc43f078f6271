import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { type Ended, Running } from '../cli/run.ts';

const INDEX = new URL('../../dist/index.js', import.meta.url).href;

/** Runs a program that imports vsnd, as its users would write it, to its end. */
function runProgram(body: string, env: NodeJS.ProcessEnv = { VSND_EMULATE: '1' }): Promise<Ended> {
  const program = `import { listCards, openCard } from ${JSON.stringify(INDEX)};\n${body}`;
  return new Running(process.execPath, ['--input-type=module', '--eval', program], env).ended();
}

const PLAY = `
  const out = card.createPlaybackStream({ rate: 48000, channels: 2, format: 's16_le' });
  out.end(Buffer.alloc(4800 * 4));
  out.on('close', () => console.log('played', out.position));
`;

test('VSND_EMULATE=1 gives any program a card, and warns once that this is not Xen', async () => {
  const { status, stdout, stderr } = await runProgram(`
    for (let n = 0; n < 2; n++) {
      const card = await openCard();
      console.log(card.info.longName);
      await card.close();
    }
  `);
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'Emulated virtual sound card\n'.repeat(2) });
  expect(stderr.match(/VsndWarning: VSND_EMULATE=1/g)).toHaveLength(1);
});

test('a process is one guest: its second openCard() is refused, and names the process', async () => {
  const { stdout } = await runProgram(`
    const card = await openCard();
    await openCard().catch((error) => console.log(error.code, error.pid === process.pid));
    console.log((await listCards())[0].state);
    await card.close();
    await (await openCard()).close();
  `);
  expect(stdout).toBe('ERR_VSND_CARD_BUSY true\nConnected\n');
});

test('an idle card does not hold the process', async () => {
  const { status, stdout } = await runProgram(`await openCard(); console.log('open');`);
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'open\n' });
});

test('a playing stream does, until it has been played', async () => {
  const { status, stdout } = await runProgram(`const card = await openCard(); ${PLAY}`);
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'played 4800\n' });
});

test('it works in a worker thread, which ends by itself', async () => {
  const program = `import('${INDEX}').then(async ({ openCard }) => {
    const card = await openCard();
    const out = card.createPlaybackStream({ rate: 48000, channels: 2, format: 's16_le' });
    out.end(Buffer.alloc(4800 * 4));
    out.on('close', () => require('node:worker_threads').parentPort.postMessage(out.position));
  });`;
  const env = { ...process.env, VSND_EMULATE: '1' };
  const worker = new Worker(program, { eval: true, env, stderr: true });
  const [position] = await once(worker, 'message');
  expect(position).toBe(4800);
  expect(await once(worker, 'exit')).toEqual([0]);
});

test('without it, off Xen: one clear error', async () => {
  const { stdout } = await runProgram('await openCard().catch(({ code }) => console.log(code));', {});
  expect(stdout).toBe('ERR_VSND_NO_XEN\n');
});

test('another value than 1 is refused with what is allowed', async () => {
  const { stdout } = await runProgram('await openCard().catch(({ message }) => console.log(message));', {
    VSND_EMULATE: 'yes',
  });
  expect(stdout).toBe('VSND_EMULATE is "yes"; allowed: 1, or 0 or nothing at all\n');
});

test('an import has no side effects', async () => {
  expect(await runProgram('')).toEqual({ status: 0, stdout: '', stderr: '' });
});
