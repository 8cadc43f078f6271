import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { bridgeHere } from '../../bridge/real/bridge-here.ts';
import { Ear, makeFilm, median, PICTURES, PLAYERS, SETTLING, syncOf, TELL } from '../../bridge/real/film.ts';
import { openPlayingCard, type PlayingCard } from '../../bridge/real/playing-card.ts';
import { noise, writeRaw } from '../../bridge/real/sound.ts';
import { hurryProcess, REAL_TIME, startPulse } from '../../bridge/real/sound-server.ts';
import { makeDirectory } from './serve-command.ts';
import { serveHere } from './serve-here.ts';

const RATE = 48_000;
const SECONDS = 6;

/** Where a film's sound goes: in the end to a card of this process. */
interface Place {
  readonly playing: PlayingCard;
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  readonly xruns: () => number | undefined;
}

/** PulseAudio, with the card as a sink of its own. */
async function byPulseAudio(latency: number): Promise<Place> {
  const playing = await openPlayingCard();
  const bridge = await bridgeHere(await startPulse(), playing.card, { server: 'pulse', latency });
  let xruns = 0;
  bridge.on('xrun', ({ count }) => {
    xruns = count;
  });
  const env = { ...process.env, PULSE_SINK: 'card' };
  return { playing, directory: makeDirectory(), env, xruns: () => xruns };
}

async function serverHere(latency: number): Promise<Place> {
  const { server, ...place } = await serveHere(0, latency);
  return { ...place, xruns: () => server.sinks[0]?.xruns };
}

/** GStreamer is late for good once the card has run dry, which depends on how busy the machine is: only with the long runs. */
const BY_PULSEAUDIO =
  process.env['VSND_LONG_RUN_SECONDS'] === undefined
    ? []
    : ([[' by PulseAudio', byPulseAudio, [20, 100, 300], 10]] as const);

describe.each([['', serverHere, [20, 100, 300], 5] as const, ...BY_PULSEAUDIO])(
  'picture and sound%s',
  (how, open, latencies, mostApart) => {
    const cases = (['mpv', 'GStreamer'] as const).flatMap((name) =>
      latencies.map((latency) => [name, latency] as const),
    );
    test.each(cases)('of %s are together, with %i ms at the card', async (name, latency) => {
      await hurryProcess(process.pid, 20);
      const { playing, directory, env, xruns } = await open(latency);
      const { film, sound } = makeFilm(directory);
      const ear = new Ear(playing);
      const script = writeRaw(directory, 'tell.lua', Buffer.from(TELL));
      const { command, read, lead } = PLAYERS[name];
      const [program = '', ...args] = [...REAL_TIME, ...command(film, script)];
      const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
      const { apart, told, readings } = await syncOf(child, { read, lead }, { playing, ear, sound });
      console.log(
        `${name}${how}, ${latency} ms at the card: the picture is ${apart.toFixed(1)} ms ahead of the sound; ` +
          `${told === undefined ? '' : `it is wrong about the latency by ${told.toFixed(1)} ms; `}` +
          `${readings} pictures, xruns ${xruns()}`,
      );
      expect(readings).toBeGreaterThan(PICTURES);
      expect(Math.abs(apart)).toBeLessThan(mostApart);
      if (told !== undefined) expect(Math.abs(told)).toBeLessThan(10);
    });
  },
);

describe('pactl', () => {
  test.each([20, 100, 300])('shows the true latency, with %i ms at the card', async (latency) => {
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
  });
});
