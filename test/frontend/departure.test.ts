import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openCard } from '../../src/open-card.ts';
import { createSoundCard, EmulatedMachine } from '../../src/testing.ts';
import { noise } from '../sound.ts';
import { RawBackend } from './raw-backend.ts';

const DEPARTURE = fileURLToPath(new URL('../../dist/frontend/departure.js', import.meta.url));

/** A card that says when it leaves, and takes a turn of the event loop for it. */
const PRELUDE = `
  import { writeSync } from 'node:fs';
  import { leaveAtProcessEnd } from ${JSON.stringify(DEPARTURE)};
  const say = (text) => writeSync(1, text + '\\n');
  const card = (name) => ({
    close: async () => { await new Promise(setImmediate); say(name + ' closed'); },
    leaveNow: () => say(name + ' left at once'),
  });
  const stay = setInterval(() => {}, 1e6);
`;

/** Runs a program; `onReady` once it has said 'ready'. */
async function run(body: string, onReady: (kill: (signal: NodeJS.Signals) => void) => void = () => {}) {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PRELUDE + body], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let said = '';
  let isReady = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (isReady || !said.includes('ready')) return;
    isReady = true;
    onReady((signal) => child.kill(signal));
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { lines: said.trim().split('\n'), code, signal };
}

describe('however the process ends', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s: the card is closed, then the signal does its work',
    async (name) => {
      const { lines, signal } = await run(`leaveAtProcessEnd(card('card')); say('ready');`, (kill) =>
        kill(name),
      );
      expect(lines).toEqual(['ready', 'card closed']);
      expect(signal).toBe(name);
    },
  );

  test('two cards: both are closed before the signal does its work', async () => {
    const body = `leaveAtProcessEnd(card('one')); leaveAtProcessEnd(card('two')); say('ready');`;
    const { lines, signal } = await run(body, (kill) => kill('SIGTERM'));
    expect(lines).toEqual(['ready', 'one closed', 'two closed']);
    expect(signal).toBe('SIGTERM');
  });

  test('a listener of the program’s own has the say; at its process.exit() the card leaves at once', async () => {
    const body = `
      leaveAtProcessEnd(card('card'));
      process.on('SIGTERM', () => { say('own'); process.exit(7); });
      say('ready');`;
    const { lines, code } = await run(body, (kill) => kill('SIGTERM'));
    expect(lines).toEqual(['ready', 'own', 'card left at once']);
    expect(code).toBe(7);
  });

  test('an uncaught exception', async () => {
    const { lines, code } = await run(
      `leaveAtProcessEnd(card('card')); say('ready'); throw new Error('oops');`,
    );
    expect(lines).toEqual(['ready', 'card left at once']);
    expect(code).toBe(1);
  });

  test('an unhandled rejection', async () => {
    const { lines, code } = await run(
      `leaveAtProcessEnd(card('card')); say('ready'); Promise.reject(new Error('oops'));`,
    );
    expect(lines).toEqual(['ready', 'card left at once']);
    expect(code).toBe(1);
  });

  test('a card that has been closed has nothing to do with it any more', async () => {
    const body = `
      const count = () => ['SIGINT', 'SIGTERM', 'SIGHUP', 'exit'].map((name) => process.listenerCount(name)).join();
      const before = count();
      leaveAtProcessEnd(card('card'))();
      say(String(count() === before));
      process.exit(0);`;
    const { lines } = await run(body);
    expect(lines).toEqual(['true']);
  });
});

describe('leaving at once', () => {
  test('STOP and CLOSE are in the ring before the event loop has turned', async () => {
    const machine = new EmulatedMachine();
    const guest = machine.createDomain();
    const streams = [{ fields: { type: 'p' } }, { fields: { type: 'p' } }];
    createSoundCard(machine, { frontendDomid: guest.domid, pcmDevices: [{ streams }] });
    const backend = await RawBackend.start(machine, guest.domid);
    const card = await openCard({ hypervisor: guest });
    const out = card.createPlaybackStream({
      rate: 48_000,
      channels: 2,
      format: 's16_le',
      bufferFrames: 1000,
    });
    out.on('error', () => {});
    out.write(noise(4000));
    await machine.settle();
    card.leaveNow();
    guest.exit(); // nothing of the process runs after this
    await machine.settle();
    expect(backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    await backend.close();
    await machine.close();
  });

  test('a card with nothing open leaves the rings alone; its state is Closing', async () => {
    const machine = new EmulatedMachine();
    const guest = machine.createDomain();
    createSoundCard(machine, {
      frontendDomid: guest.domid,
      pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
    });
    const backend = await RawBackend.start(machine, guest.domid);
    const card = await openCard({ hypervisor: guest });
    card.leaveNow();
    await machine.settle();
    expect(backend.operations).toEqual([]);
    expect(await backend.frontendState()).toBe('5');
    guest.exit();
    await backend.close();
    await machine.close();
  });
});
