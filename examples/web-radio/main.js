// Plays a radio station, or a recording, from the web: MP3, Ogg Vorbis, Opus, FLAC, whatever vsnd/audio opens.
//
//   VSND_EMULATE=1 node examples/web-radio/main.js URL [--volume=-12] [--buffer=3]
//
// Lines on standard input are its keys: + and - change the volume, q stops.
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openCard } from 'vsnd';
import { Player } from './player.js';
import { openStation } from './station.js';

/** ms: how long to wait when a station is lost; each time twice as long, up to the last. */
const FIRST_PAUSE = 500;
const LAST_PAUSE = 30_000;

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

/** Plays the station for ever, a recording once. A station that has played is waited for when it is lost. */
async function listen() {
  let hasPlayed = false;
  for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LAST_PAUSE)) {
    try {
      const onTitle = (title) => console.log(`title: ${title}`);
      const { source, isEndless } = await openStation(url, { signal, onTitle });
      console.log(`${url}: ${source.kind}, ${source.rate} Hz, ${source.channels} channels`);
      hasPlayed = true;
      pause = FIRST_PAUSE;
      await player.play(source).finally(() => source.close());
      if (!isEndless) return await player.end();
      throw new Error('it has ended');
    } catch (error) {
      signal.throwIfAborted();
      if (!hasPlayed) throw error;
      console.log(`lost the station: ${reasonOf(error)}; again in ${pause / 1000} s`);
      await delay(pause, undefined, { signal });
    }
  }
}

/** fetch says why in the cause. */
const reasonOf = (error) => error.cause?.message ?? error.message;

try {
  await listen();
} catch (error) {
  const reason = signal.aborted ? signal.reason : error;
  if (reason.name !== 'AbortError') {
    console.error(`${url}: ${reasonOf(reason)}`);
    process.exitCode = 1;
  }
} finally {
  keys.close();
  await card.close();
}
