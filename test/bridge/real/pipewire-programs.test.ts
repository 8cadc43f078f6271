import { type EventEmitter, once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { bridgeHere } from './bridge-here.ts';
import { Ear, makeFilm, PICTURES, PLAYERS, syncOf, TELL } from './film.ts';
import { openPlayingCard } from './playing-card.ts';
import { noise, writeRaw, writeWav } from './sound.ts';
import { REAL_TIME, startPipewire } from './sound-server.ts';

const SOUND = { rate: 48_000, channels: 2, format: 's16_le' } as const;
const SECONDS = 4;
const MPV = ['mpv', '--no-config', '--no-video', '--no-terminal'];
const GSTREAMER = (wav: string) => [
  'gst-launch-1.0',
  '-q',
  'filesrc',
  `location=${wav}`,
  '!',
  'wavparse',
  '!',
];

/** Programs, and how many frames they keep to themselves, at the beginning or at the end: a null sink does not hear these either. */
const PROGRAMS: readonly [string, (wav: string) => string[], number][] = [
  ['pw-play', (wav) => ['pw-play', wav], 2048],
  ['pw-play, 20 ms', (wav) => ['pw-play', '--latency=20ms', wav], 2048],
  ['paplay', (wav) => ['paplay', wav], 0],
  ['mpv', (wav) => [...MPV, '--ao=pipewire', wav], 4096],
  ['mpv by pipewire-pulse', (wav) => [...MPV, '--ao=pulse', wav], 0],
  ['GStreamer', (wav) => [...GSTREAMER(wav), 'pipewiresink'], 8192],
  ['GStreamer by pipewire-pulse', (wav) => [...GSTREAMER(wav), 'pulsesink'], 0],
];

/** ppm: the long run has them all. */
const DEVIATIONS = process.env['VSND_LONG_RUN_SECONDS'] === undefined ? [-3000] : [0, 200, -200, 3000, -3000];

/**
 * Frames of a sound that have not been heard, and frames of silence within it. `kept`: so many may be missing at its beginning. What is
 * heard out of its order counts as not heard.
 */
function compare(heard: Buffer, sound: Buffer, kept: number): { lost: number; silent: number } {
  let at = 0;
  while (at < kept * 4 && !heard.includes(sound.subarray(at, at + 64))) at += 4;
  const missed = at / 4;
  let ear = heard.indexOf(sound.subarray(at, at + 64));
  if (ear < 0) return { lost: sound.length / 4, silent: 0 };
  let silent = 0;
  let silentHere = 0;
  for (; ear < heard.length && at < sound.length; ear += 4) {
    const isNext = heard.readUInt32LE(ear) === sound.readUInt32LE(at);
    if (!isNext && heard.readUInt32LE(ear) !== 0) break;
    if (isNext) {
      at += 4;
      silent += silentHere;
      silentHere = 0;
    } else {
      silentHere++;
    }
  }
  return { lost: missed + (sound.length - at) / 4, silent };
}

describe('a card that is off by', () => {
  test.each(
    DEVIATIONS.flatMap((ppm) => PROGRAMS.map(([name, command, kept]) => ({ ppm, name, command, kept }))),
  )('$ppm ppm hears $name bit for bit', async ({ ppm, name, command, kept }) => {
    const server = await startPipewire();
    const playing = await openPlayingCard(ppm);
    const bridge = await bridgeHere(server, playing.card, { latency: 300 });
    const bytes = noise('s16_le', 2, SECONDS * SOUND.rate);
    const wav = writeWav(server.directory, 'noise.wav', SOUND, bytes);
    const [program = '', ...args] = [...REAL_TIME, ...command(wav)];
    await server.run(program, args);
    await once(bridge as EventEmitter, 'stop');
    const heard = Buffer.concat(playing.takes.flat());
    const { lost, silent } = compare(heard, bytes, kept);
    console.log(`${name} at ${ppm} ppm: not heard ${lost} frames; silent in between ${silent}`);
    expect(lost).toBeLessThanOrEqual(kept);
    expect(silent).toBeLessThanOrEqual(2048); // a busy machine may make a program miss a cycle
  });
});

describe('picture and sound', () => {
  test.each(
    [20, 100, 300].flatMap((latency) => [
      { latency, ao: 'pipewire', most: 5 },
      { latency, ao: 'pulse', most: 43 }, // a cycle: pipewire-pulse tells its programs no better
    ]),
  )('of mpv by $ao are together, with $latency ms at the card', async ({ latency, ao, most }) => {
    const server = await startPipewire();
    const playing = await openPlayingCard();
    const bridge = await bridgeHere(server, playing.card, { latency });
    const { film, sound } = makeFilm(server.directory);
    const ear = new Ear(playing);
    const script = writeRaw(server.directory, 'tell.lua', Buffer.from(TELL));
    const { mpv } = PLAYERS;
    const command = mpv.command(film, script).map((word) => word.replace('--ao=pulse', `--ao=${ao}`));
    const [program = '', ...args] = [...REAL_TIME, ...command];
    const {
      apart,
      told = Number.NaN,
      readings,
    } = await syncOf(server.spawn(program, args), mpv, { playing, ear, sound });
    console.log(
      `mpv by ${ao}, ${latency} ms at the card: the picture is ${apart.toFixed(1)} ms ahead of the sound; ` +
        `it is wrong about the latency by ${told.toFixed(1)} ms; ${readings} pictures, xruns ${bridge.endpoints[0]?.statistics.xruns}`,
    );
    expect(readings).toBeGreaterThan(PICTURES);
    expect(Math.abs(apart)).toBeLessThan(most);
  });
});
