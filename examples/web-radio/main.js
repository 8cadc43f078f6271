// Plays a radio station, or a recording, from the web: MP3, Ogg Vorbis, Opus, FLAC, whatever vsnd/audio opens.
//
//   VSND_EMULATE=1 node examples/web-radio/main.js URL [--volume=-12] [--buffer=3]
//
// Lines on standard input are its keys: + and - change the volume, q stops.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { openCard } from 'vsnd';
import { openWebAudio } from 'vsnd/audio';
import { Player } from './player.js';

/** dB */
const VOLUME_STEP = 2;
const LEAST_VOLUME = -60;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { volume: { type: 'string', default: '0' }, buffer: { type: 'string', default: '3' } },
});
const [url] = positionals;
if (url === undefined) {
  console.error('usage: web-radio/main.js URL [--volume=-12] [--buffer=3] (dB, seconds)');
  process.exit(2);
}
const stop = new AbortController();
const { signal } = stop;

process.once('SIGINT', () => stop.abort());
const keys = createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === '+') changeVolume(VOLUME_STEP);
  if (line === '-') changeVolume(-VOLUME_STEP);
  if (line === 'q') stop.abort();
});

const card = await openCard({ reconnect: true });
const player = new Player(card, {
  bufferSeconds: Number(values.buffer),
  volume: Number(values.volume),
  signal,
  onBuffering: (isBuffering) => console.log(isBuffering ? 'buffering' : 'playing'),
  onError: (error) => stop.abort(error),
});

function changeVolume(decibels) {
  player.volume = Math.min(0, Math.max(LEAST_VOLUME, player.volume + decibels));
  console.log(`volume ${player.volume} dB`);
}

/** Plays the station for ever, a recording once. A server that is lost is waited for. */
async function listen() {
  const source = await openWebAudio(url, {
    signal,
    onTitle: (title) => console.log(`title: ${title}`),
    onLost: (reason, seconds) => console.log(`lost the station: ${reason}; again in ${seconds} s`),
  });
  console.log(`${url}: ${source.kind}, ${source.rate} Hz, ${source.channels} channels`);
  try {
    await player.play(source);
    await player.end();
  } finally {
    await source.close();
  }
}

try {
  await listen();
} catch (error) {
  const reason = signal.aborted ? signal.reason : error;
  if (reason.name !== 'AbortError') {
    console.error(reason.message);
    process.exitCode = 1;
  }
} finally {
  keys.close();
  await card.close();
}
