import { execFileSync } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { useDirectory } from '../wav/files.ts';
import { MAIN, makeWav, Running, start, vsnd } from './run.ts';

const files = useDirectory();
const PLAY = ['play', '--emulate', '--fast', '--sink', 'null'];

/** `vsnd` as a shell starts it: with `script` to name its arguments. */
function inShell(script: string): Running {
  return new Running('bash', ['-c', script, process.execPath, MAIN, files.path('.')]);
}

describe('pipes by name', () => {
  const played = (name: string) => ({
    status: 0,
    stderr: '',
    stdout: expect.stringContaining(`played 24000 frames (0:00.5) of ${name}`),
  });

  test('of a process substitution', async () => {
    makeWav(files.path('x.wav'));
    const ended = await inShell(`"$0" "$1" ${PLAY.join(' ')} <(cat "$2/x.wav")`).ended();
    expect(ended).toEqual(played('/dev/fd/'));
  });

  test('a FIFO, before anybody writes to it', async () => {
    const song = makeWav(files.path('x.wav'));
    const fifo = files.path('fifo');
    execFileSync('mkfifo', [fifo]);
    const playing = start([...PLAY, fifo]);
    createWriteStream(fifo).end(readFileSync(song));
    expect(await playing.ended()).toEqual(played(fifo));
  });

  test.each(['/dev/stdin', '/dev/fd/0', '/proc/self/fd/0'])(
    '%s behind a pipe, a socket and a file',
    async (name) => {
      const song = makeWav(files.path('x.wav'));
      const socket = start([...PLAY, name]);
      socket.child.stdin?.end(readFileSync(song));
      expect(await socket.ended()).toEqual(played(name));
      for (const input of ['cat "$2/x.wav" |', '<"$2/x.wav"']) {
        expect(await inShell(`${input} "$0" "$1" ${PLAY.join(' ')} ${name}`).ended()).toEqual(played(name));
      }
    },
  );

  test('a device that gives nothing', async () => {
    const ended = await start([...PLAY, '/dev/null']).ended();
    expect(ended).toMatchObject({ status: 1, stderr: expect.stringContaining('/dev/null is empty') });
  });
});

describe('names that are not UTF-8', () => {
  test('play says so, and names -', async () => {
    makeWav(files.path('x.wav'));
    const bad = `"$2/$(printf '\\377').wav"`;
    const { status, stderr } = await inShell(
      `cp "$2/x.wav" ${bad}; "$0" "$1" ${PLAY.join(' ')} ${bad}`,
    ).ended();
    expect(status).toBe(1);
    expect(stderr).toContain(
      'its name is not UTF-8, and Node.js knows no others; play it with: vsnd play - < FILE',
    );
  });

  test('record writes to no other name', async () => {
    const { status, stderr } = await inShell(`"$0" "$1" record --emulate "$2/$(printf '\\377').wav"`).ended();
    expect(status).toBe(2);
    expect(stderr).toContain("FILE.wav's name is not UTF-8, and Node.js knows no others; allowed: - > FILE");
  });
});

describe("a WAV file with another kind's name is written, with a warning", () => {
  const warning = (file: string) => `vsnd: warning: ${file} will be a WAV file, whatever its name says\n`;

  test('vsnd record', async () => {
    const file = files.path('voice.flac');
    const { status, stderr } = await vsnd(['record', '--emulate', '--source', 'sine', '-d', '0.05', file]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: warning(file) });
    expect(readFileSync(file).subarray(0, 4).toString()).toBe('RIFF');
  });

  test.each(['play', 'tone'])('vsnd %s --sink', async (command) => {
    const file = files.path(`${command}.OGG`);
    const args = [
      '--emulate',
      '--fast',
      '--sink',
      `wav:${file}`,
      ...(command === 'tone' ? ['-d', '0.1'] : []),
    ];
    const { status, stderr } = await vsnd([command, ...args]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: warning(file) });
  });
});
