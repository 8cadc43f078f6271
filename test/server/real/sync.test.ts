import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createBridge } from '../../../src/index.ts';
import { openPlayingCard, type PlayingCard } from '../../bridge/real/playing-card.ts';
import { noise, writeRaw } from '../../bridge/real/sound.ts';
import { hurryProcess, REAL_TIME, startPulse } from '../../bridge/real/sound-server.ts';
import { makeDirectory } from './serve-command.ts';
import { serveHere } from './serve-here.ts';

const RATE = 48_000;
const FRAME_BYTES = 4;
const SECONDS = 6;

/** Hz of the pictures; a program tells of one when it has drawn it. */
const PICTURES = 25;

/** s: at the beginning clocks are not set yet. */
const SETTLING = 1;

/** Says which picture is shown, and which moment of the sound mpv believes to be heard. */
const TELL = `
mp.observe_property("time-pos", "native", function(_, at)
  local heard = mp.get_property_native("audio-pts")
  if at and heard then io.stdout:write(string.format("%.4f %.4f\\n", at, heard)); io.stdout:flush() end
end)
`;

/** Pictures whose sound can be found again, in a file. */
function makeFilm(directory: string): { film: string; sound: Buffer } {
  const sound = noise('s16_le', 2, SECONDS * RATE);
  const raw = writeRaw(directory, 'sound.raw', sound);
  const film = join(directory, 'film.avi');
  const pictures = ['-f', 'lavfi', '-i', `color=c=black:s=16x16:r=${PICTURES}:d=${SECONDS}`];
  const samples = ['-f', 's16le', '-ar', `${RATE}`, '-ac', '2', '-i', raw];
  execFileSync('ffmpeg', ['-v', 'error', ...pictures, ...samples, '-c:v', 'rawvideo', '-c:a', 'copy', film]);
  return { film, sound };
}

/** When a card has played which of its frames: what is asked for is between two of these moments. */
class Ear {
  readonly #moments: { time: number; frames: number }[] = [];
  #frames = 0;

  constructor(playing: PlayingCard) {
    playing.listener = (bytes) => {
      this.#frames += bytes.length / FRAME_BYTES;
      this.#moments.push({ time: performance.now(), frames: this.#frames });
    };
  }

  /** Frames that had been played at that time: the line through all moments of the second around it. */
  at(time: number): number {
    const near = this.#moments.filter((moment) => Math.abs(moment.time - time) < 500);
    const ahead = near.map((moment) => moment.frames + ((time - moment.time) * RATE) / 1000);
    return Math.max(...ahead); // late is all that a timer can be
  }
}

/** What a program has told, a line each, and when. */
async function linesOf(child: ChildProcess): Promise<{ time: number; line: string }[]> {
  const lines: { time: number; line: string }[] = [];
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream }))
    lines.push({ time: performance.now(), line });
  return lines;
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

interface Reading {
  /** When it was told, ms. */
  readonly time: number;
  /** s: of the picture that is shown, and of the sound that the program believes to be heard. */
  readonly picture: number;
  readonly heard?: number;
}

/** Programs that show pictures. `lead`: so many ms ahead of one they tell of it. */
const PLAYERS = {
  mpv: {
    lead: 1000 / PICTURES, // it has shown one, and tells of the next
    command: (film: string, script: string) => [
      'mpv',
      ...['--no-config', '--no-terminal', '--vo=null', '--ao=pulse', `--script=${script}`, film],
    ],
    read: (time: number, line: string): Reading | undefined => {
      const [picture, heard] = line.split(' ').map(Number);
      return picture !== undefined && heard !== undefined ? { time, picture, heard } : undefined;
    },
  },
  GStreamer: {
    lead: 0,
    command: (film: string) => [
      ...['gst-launch-1.0', '-v', 'filesrc', `location=${film}`, '!', 'avidemux', 'name=film'],
      ...['film.', '!', 'queue', '!', 'video/x-raw', '!', 'fakesink', 'sync=true', 'silent=false'],
      ...['film.', '!', 'queue', '!', 'audioconvert', '!', 'pulsesink'],
    ],
    read: (time: number, line: string): Reading | undefined => {
      const [, seconds] = /pts: 0:00:([\d.]+)/.exec(line) ?? [];
      return seconds === undefined ? undefined : { time, picture: Number(seconds) };
    },
  },
} as const;

/** Where a film's sound goes: in the end to a card of this process. */
interface Place {
  readonly playing: PlayingCard;
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  readonly xruns: () => number | undefined;
}

/** PulseAudio, with the card as a sink of its own, by a bridge in this process. */
async function bridgeHere(latency: number): Promise<Place> {
  const pulse = await startPulse();
  const playing = await openPlayingCard();
  for (const name of ['XDG_RUNTIME_DIR', 'HOME', 'VSND_CONTROL_DIR', 'PULSE_SERVER'])
    vi.stubEnv(name, pulse.env[name]);
  const bridge = await createBridge(playing.card, { server: 'pulse', name: 'card', latency, source: false });
  let xruns = 0;
  bridge.on('xrun', ({ count }) => {
    xruns = count;
  });
  onTestFinished(async () => {
    await bridge.close();
    vi.unstubAllEnvs();
  });
  const env = { ...process.env, PULSE_SINK: 'card' };
  return { playing, directory: makeDirectory(), env, xruns: () => xruns };
}

async function serverHere(latency: number): Promise<Place> {
  const { server, ...place } = await serveHere(0, latency);
  return { ...place, xruns: () => server.sinks[0]?.xruns };
}

describe.each([
  ['', serverHere, [20, 100, 300], 5],
  // With 20 ms it depends on how busy the machine is: GStreamer is late for good once the card has run dry.
  [' by PulseAudio', bridgeHere, [100, 300], 10],
] as const)('picture and sound%s', (how, open, latencies, mostApart) => {
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
    const lines = await linesOf(child);
    const heard = Buffer.concat(playing.takes.at(-1) ?? []);
    const known = SETTLING * RATE * FRAME_BYTES; // PulseAudio may cut off the very first
    const found = heard.indexOf(sound.subarray(known, known + 64));
    expect(found).toBeGreaterThanOrEqual(0);
    const first = (found - known) / FRAME_BYTES;
    const earlier = playing.takes
      .slice(0, -1)
      .flat()
      .reduce((sum, { length }) => sum + length, 0);
    const soundAt = (time: number) => (ear.at(time) - first - earlier / FRAME_BYTES) / RATE;
    const readings = lines
      .map(({ time, line }) => read(time, line))
      .filter((one) => one !== undefined)
      .filter(({ picture }) => picture > SETTLING && picture < SECONDS - SETTLING);
    const apart = median(readings.map(({ time, picture }) => (picture - soundAt(time)) * 1000 - lead));
    const believed = readings.filter(({ heard: at }) => at !== undefined);
    const told = median(believed.map(({ time, heard: at = 0 }) => (at - soundAt(time)) * 1000));
    console.log(
      `${name}${how}, ${latency} ms at the card: the picture is ${apart.toFixed(1)} ms ahead of the sound; ` +
        `${believed.length > 0 ? `it is wrong about the latency by ${told.toFixed(1)} ms; ` : ''}` +
        `${readings.length} pictures, xruns ${xruns()}`,
    );
    expect(readings.length).toBeGreaterThan(PICTURES);
    expect(Math.abs(apart)).toBeLessThan(mostApart);
    if (believed.length > 0) expect(Math.abs(told)).toBeLessThan(10);
  });
});

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
