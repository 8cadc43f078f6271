import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { noise, occurrences, writeRaw, writeWav } from '../../bridge/real/sound.ts';
import { STEREO } from '../../sound.ts';
import { PLAYING, type PlayingProgram } from './programs.ts';
import { outcomeOf, type ServeCommand, startHeldServe, startServe } from './serve-command.ts';

const SECOND = 192_000;

/** For what must not depend on how busy the machine is. */
const PATIENT = ['--latency', '500'];

/** Sound of so many seconds, in files that anybody can read. */
function soundFor({ directory, socket }: ServeCommand, seconds: number) {
  const sound = noise('s16_le', 2, seconds * STEREO.rate);
  const files = [
    writeWav(directory, 'sound.wav', STEREO, sound),
    writeRaw(directory, 'sound.raw', sound),
  ] as const;
  for (const path of [directory, dirname(socket), socket, ...files]) chmodSync(path, 0o777); // also for VLC, which is nobody
  return { sound, files };
}

/** One that lets it in. */
const serverFor = ({ isStrange }: PlayingProgram, ...args: string[]) =>
  isStrange ? startHeldServe(...args) : startServe(...args);

function start(serve: ServeCommand, { command, env }: PlayingProgram, files: readonly [string, string]) {
  return serve.spawn(command(...files), env);
}

/** How much of the beginning of a sound has been heard in a row, bytes. */
function heardOf(takes: readonly Buffer[], sound: Buffer): number {
  const heard = Buffer.concat(takes);
  const begin = heard.indexOf(sound.subarray(0, 64));
  if (begin === -1) return 0;
  let length = 0;
  while (length < sound.length && heard[begin + length] === sound[length]) length++;
  return length;
}

describe('alone at the format of the card', () => {
  test.each(PLAYING)('$name is heard bit for bit', async (program) => {
    const serve = await serverFor(program, ...PATIENT);
    const { sound, files } = soundFor(serve, 4);
    const { status, stderr } = await outcomeOf(start(serve, program, files));
    expect(status, stderr).toBe(0);
    await serve.event('stop'); // mpv and GStreamer do not wait until the card has played the last of it
    const takes = await serve.stop();
    const { cut } = program;
    // What is cut off never comes: the rest is as exact.
    if (cut !== undefined) expect(heardOf(takes, sound)).toBeGreaterThan((4 - cut) * SECOND);
    else expect(takes.reduce((sum, take) => sum + occurrences(take, sound), 0)).toBe(1);
  });
});

describe('stopped for a second', () => {
  test.each(PLAYING.filter(({ name }) => name !== 'ffmpeg'))('$name goes on, and ends', async (program) => {
    const serve = await serverFor(program);
    const { files } = soundFor(serve, 4);
    const child = start(serve, program, files);
    const ended = outcomeOf(child);
    await serve.event('start');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    child.kill('SIGCONT');
    const { status, stderr, time } = await ended;
    expect(status, stderr).toBe(0);
    expect(time).toBeLessThan(15_000);
    await serve.stop();
  });
});

describe('killed', () => {
  test('a program leaves nothing, and the next one is heard', async () => {
    const serve = await startServe(...PATIENT);
    const { sound, files } = soundFor(serve, 2);
    const [paplay] = PLAYING;
    if (paplay === undefined) throw new Error('there is no program');
    const killed = start(serve, paplay, files);
    await serve.event('start');
    killed.kill('SIGKILL');
    const { clients } = await serve.event('disconnect');
    expect(clients).toEqual([]);
    expect((await outcomeOf(start(serve, paplay, files))).status).toBe(0);
    expect(occurrences(Buffer.concat(await serve.stop()), sound)).toBe(1);
  });
});

describe('together', () => {
  test('twenty programs, of different rates, are all played to their ends', async () => {
    const serve = await startServe(...PATIENT);
    const rates = [8000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000];
    const programs = Array.from({ length: 20 }, async (_, number) => {
      const rate = rates[number % rates.length] ?? 0;
      const file = writeRaw(serve.directory, `sound${number}.raw`, noise('s16_le', 1, 2 * rate));
      return await serve.run(['pacat', '--raw', `--rate=${rate}`, '--channels=1', '--format=s16le', file]);
    });
    for (const { status, stderr } of await Promise.all(programs)) expect(status, stderr).toBe(0);
    await serve.stop();
  });

  test('a program on a PCM device of its own is heard bit for bit, whatever others do', async () => {
    const serve = await startServe(...PATIENT);
    const { sound, files } = soundFor(serve, 4);
    const others = [44_100, 48_000].map((rate) => {
      const file = writeRaw(serve.directory, `${rate}.raw`, noise('s16_le', 2, 3 * rate));
      return serve.spawn(['pacat', '--raw', `--rate=${rate}`, '--channels=2', '--device=Emulated.1', file]);
    });
    const { status } = await serve.run(['paplay', ...[files[0]]]);
    expect(status).toBe(0);
    for (const other of others) other.kill('SIGKILL');
    const takes = await serve.stop();
    expect(takes.reduce((sum, take) => sum + occurrences(take, sound), 0)).toBe(1);
  });
});
