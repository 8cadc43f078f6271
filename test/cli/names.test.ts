import { execFileSync } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { useDirectory } from '../wav/files.ts';
import { MAIN, makeWav, Running, start } from './run.ts';

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
