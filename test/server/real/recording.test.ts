import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { noise, writeWav } from '../../bridge/real/sound.ts';
import { STEREO } from '../../sound.ts';
import { makeDirectory, outcomeOf, ServeCommand } from './serve-command.ts';

const SECOND = 192_000;

/** Programs that record at 48 kHz, 16 bits, stereo, for some seconds. */
const RECORDING: readonly (readonly [name: string, command: (file: string) => string[]])[] = [
  [
    'parec',
    (file) => [
      'timeout',
      '-s',
      'INT',
      '3',
      'parec',
      '--rate=48000',
      '--channels=2',
      '--format=s16le',
      '--file-format=wav',
      file,
    ],
  ],
  ['ffmpeg', (file) => ['ffmpeg', '-nostdin', '-y', '-f', 'pulse', '-i', 'default', '-t', '3', file]],
  ['arecord', (file) => ['arecord', '-q', '-f', 'S16_LE', '-r', '48000', '-c', '2', '-d', '3', file]],
];

describe('what a card captures', () => {
  test.each(RECORDING)('%s records whole', async (_, command) => {
    const directory = makeDirectory();
    const said = noise('s16_le', 2, 10 * STEREO.rate);
    const path = writeWav(directory, 'said.wav', STEREO, said);
    const serve = new ServeCommand(['--source', `wav:${path}`, '--latency', '500'], { directory });
    await serve.event('listen');
    const file = join(directory, 'recorded.wav');
    await outcomeOf(serve.spawn(command(file)));
    await serve.stop();
    const recorded = readFileSync(file);
    const begin = recorded.indexOf(said.subarray(0, 64));
    expect(begin).toBeGreaterThan(0);
    const sound = recorded.subarray(begin);
    expect(sound.length).toBeGreaterThan(2.5 * SECOND);
    const whole = said.subarray(0, sound.length - (sound.length % 4));
    expect(sound.subarray(0, whole.length).equals(whole)).toBe(true);
  });
});
