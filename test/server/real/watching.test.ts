import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { noise, writeRaw } from '../../bridge/real/sound.ts';
import { MAIN } from '../../cli/run.ts';
import { AS_NOBODY } from './programs.ts';
import { startServe } from './serve-command.ts';

const SECOND = 192_000;

test('vsnd monitor shows the programs that play', async () => {
  const serve = await startServe();
  const file = writeRaw(serve.directory, 'sound.raw', noise('s16_le', 2, 20 * 48_000));
  const player = serve.spawn(['pacat', '--raw', '--rate=48000', '--client-name=radio', file]);
  await serve.event('start');
  const { status, stdout, stderr } = await serve.run([
    process.execPath,
    MAIN,
    'monitor',
    '--emulate',
    '--once',
  ]);
  expect(status, stderr).toBe(0);
  expect(stdout.toString()).toMatch(
    new RegExp(
      `^radio, process ${player.pid}: plays into Emulated, 48000 Hz, 2 channels, \\d+ ms wait$`,
      'm',
    ),
  );
  player.kill('SIGKILL');
  await serve.stop();
});

test('a volume that vsnd volume sets is what programs hear of, and what pactl shows', async () => {
  const serve = await startServe();
  const file = writeRaw(serve.directory, 'silence.raw', Buffer.alloc(20 * SECOND));
  const player = serve.spawn(['pacat', '--raw', '--rate=48000', file]);
  await serve.event('start');
  const watcher = serve.spawn(['pactl', 'subscribe']);
  const heard = createInterface({ input: watcher.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  await serve.event('connect', 2);
  for (const [said, shown] of [
    ['-12', /-12\.00 dB/],
    ['mute', /Mute: yes/],
    ['unmute', /Mute: no/],
  ] as const) {
    const { status, stderr } = await serve.run([process.execPath, MAIN, 'volume', '--emulate', '--', said]);
    expect(status, stderr).toBe(0);
    for (
      let line = await heard.next();
      line.value !== "Event 'change' on sink #0";
      line = await heard.next()
    );
    const { stdout } = await serve.run(['pactl', 'list', 'sinks']);
    expect(stdout.toString()).toMatch(shown);
  }
  for (const child of [watcher, player]) child.kill('SIGKILL');
  await serve.stop();
});

test.skipIf(AS_NOBODY.length === 0)('a program of another user is refused, and told so', async () => {
  const serve = await startServe();
  for (const path of [serve.directory, dirname(serve.socket), serve.socket]) chmodSync(path, 0o777);
  const { status, stderr } = await serve.run([...AS_NOBODY, 'pactl', 'info']);
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('Access denied') });
  const { message } = await serve.event('warning');
  expect(message).toMatch(/^process \d+ of user 65534 was refused: this server is for user 0 and root$/);
  expect((await serve.run(['pactl', 'info'])).status).toBe(0);
  await serve.stop();
});
