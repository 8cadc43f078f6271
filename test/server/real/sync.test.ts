import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Ear, makeFilm, median, PICTURES, PLAYERS, SETTLING, syncOf, TELL } from '../../bridge/real/film.ts';
import { noise, writeRaw } from '../../bridge/real/sound.ts';
import { hurryProcess, REAL_TIME } from '../../bridge/real/sound-server.ts';
import { serveHere } from './serve-here.ts';

const RATE = 48_000;
/** s */
const SECONDS = 6;

const CASES = (['mpv', 'GStreamer'] as const).flatMap((name) =>
  [20, 100, 300].map((latency) => [name, latency] as const),
);

describe('picture and sound', () => {
  test.each(CASES)('of %s are together, with %i ms at the card', async (name, latency) => {
    await hurryProcess(process.pid, 20);
    const { playing, directory, env, server } = await serveHere(0, latency);
    const { film, sound } = makeFilm(directory);
    const ear = new Ear(playing);
    const script = writeRaw(directory, 'tell.lua', Buffer.from(TELL));
    const player = PLAYERS[name];
    const [program = '', ...args] = [...REAL_TIME, ...player.command(film, script)];
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
    const { apart, told, readings } = await syncOf(child, player, { playing, ear, sound });
    console.log(
      `${name}, ${latency} ms at the card: the picture is ${apart.toFixed(1)} ms ahead of the sound; ` +
        `${told === undefined ? '' : `it is wrong about the latency by ${told.toFixed(1)} ms; `}` +
        `${readings} pictures, xruns ${server.sinks[0]?.xruns}`,
    );
    expect(readings).toBeGreaterThan(PICTURES);
    expect(Math.abs(apart)).toBeLessThan(5);
    if (told !== undefined) expect(Math.abs(told)).toBeLessThan(10);
  });

  test.each([20, 100, 300])(
    'the latency that pactl shows is the true one, with %i ms at the card',
    async (latency) => {
      await hurryProcess(process.pid, 20);
      const { playing, directory, env, server } = await serveHere(0, latency);
      const ear = new Ear(playing);
      const raw = writeRaw(directory, 'sound.raw', noise('s16_le', 2, SECONDS * RATE));
      const player = spawn('paplay', ['--raw', '--rate=48000', raw], { env, stdio: 'ignore' });
      await once(server, 'start');
      const errors: number[] = [];
      while (player.exitCode === null && errors.length < 20) {
        const { stdout } = await promisify(execFile)('pactl', ['list', 'sinks'], { env });
        const shown = Number(/Latency: (\d+) usec/.exec(stdout)?.[1]) / 1000;
        const [stream] = playing.card.streams;
        if (stream === undefined || stream.position < SETTLING * RATE) continue;
        const waiting = stream.position + stream.latency - ear.at(performance.now());
        errors.push(shown - (waiting / RATE) * 1000);
      }
      player.kill('SIGKILL');
      const error = median(errors);
      console.log(
        `pactl, ${latency} ms at the card: wrong about the latency by ${error.toFixed(1)} ms (median of ${errors.length})`,
      );
      expect(Math.abs(error)).toBeLessThan(10);
    },
  );
});
