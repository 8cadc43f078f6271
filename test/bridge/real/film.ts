// A film whose sound can be found again, who listens to it, and programs that say which picture they show.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { FRAME } from '../../sound.ts';
import type { PlayingCard } from './playing-card.ts';
import { noise, writeRaw } from './sound.ts';

const RATE = 48_000;
/** Of a film. */
const SECONDS = 6;

/** Hz of the pictures; a program tells of one when it has drawn it. */
export const PICTURES = 25;

/** s: at the beginning clocks are not set yet. */
export const SETTLING = 1;

/** Says which picture is shown, and which moment of the sound mpv believes to be heard. */
export const TELL = `
mp.observe_property("time-pos", "native", function(_, at)
  local heard = mp.get_property_native("audio-pts")
  if at and heard then io.stdout:write(string.format("%.4f %.4f\\n", at, heard)); io.stdout:flush() end
end)
`;

/** Pictures whose sound can be found again, in a file. */
export function makeFilm(directory: string): { film: string; sound: Buffer } {
  const sound = noise('s16_le', 2, SECONDS * RATE);
  const raw = writeRaw(directory, 'sound.raw', sound);
  const film = join(directory, 'film.avi');
  const pictures = ['-f', 'lavfi', '-i', `color=c=black:s=16x16:r=${PICTURES}:d=${SECONDS}`];
  const samples = ['-f', 's16le', '-ar', `${RATE}`, '-ac', '2', '-i', raw];
  execFileSync('ffmpeg', ['-v', 'error', ...pictures, ...samples, '-c:v', 'rawvideo', '-c:a', 'copy', film]);
  return { film, sound };
}

/** When a card has played which of its frames: what is asked for is between two of these moments. */
export class Ear {
  readonly #moments: { time: number; frames: number }[] = [];
  #frames = 0;

  constructor(playing: PlayingCard) {
    playing.listener = (bytes) => {
      this.#frames += bytes.length / FRAME;
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

export const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

export interface Reading {
  /** When it was told, ms. */
  readonly time: number;
  /** s: of the picture that is shown, and of the sound that the program believes to be heard. */
  readonly picture: number;
  readonly heard?: number;
}

/** Programs that show pictures. `lead`: so many ms ahead of one they tell of it. */
export const PLAYERS = {
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

/** How far a player's picture is ahead of its sound, and how far it is wrong about the latency where it tells that; ms. */
export async function syncOf(
  child: ChildProcess,
  { read, lead }: { read: (time: number, line: string) => Reading | undefined; lead: number },
  { playing, ear, sound }: { playing: PlayingCard; ear: Ear; sound: Buffer },
): Promise<{ apart: number; told: number | undefined; readings: number }> {
  const lines = await linesOf(child);
  const heard = Buffer.concat(playing.takes.at(-1) ?? []);
  const known = SETTLING * RATE * FRAME; // a server may cut off the very first
  const found = heard.indexOf(sound.subarray(known, known + 64));
  if (found < 0) throw new Error('the sound of the film has not been heard');
  const first = (found - known) / FRAME;
  const earlier = playing.takes
    .slice(0, -1)
    .flat()
    .reduce((sum, { length }) => sum + length, 0);
  const soundAt = (time: number) => (ear.at(time) - first - earlier / FRAME) / RATE;
  const readings = lines
    .map(({ time, line }) => read(time, line))
    .filter((one) => one !== undefined)
    .filter(({ picture }) => picture > SETTLING && picture < SECONDS - SETTLING);
  const believed = readings.filter(({ heard: at }) => at !== undefined);
  return {
    apart: median(readings.map(({ time, picture }) => (picture - soundAt(time)) * 1000 - lead)),
    told:
      believed.length === 0
        ? undefined
        : median(believed.map(({ time, heard: at = 0 }) => (at - soundAt(time)) * 1000)),
    readings: readings.length,
  };
}
