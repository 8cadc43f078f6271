import { expect, test } from 'vitest';
import { noise, writeRaw } from '../../bridge/real/sound.ts';
import { MAIN } from '../../cli/run.ts';
import { startServe } from './serve-command.ts';

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
