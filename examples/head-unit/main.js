// A car's head unit: music, a voice that ducks it, a chime that must not wait, and a page that shows them live.
//
//   VSND_EMULATE=1 node examples/head-unit/main.js [--port 8080] [--socket PATH] [FILE...]
//
// With --socket the prompts are those of other programs: paplay, a navigation. They play through a sound server of our own.
// Files are music, whole and in memory; without any, two tunes play. Each kind of sound has a PCM device of its own: they are
// mixed by the backend's host, not here.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openCard } from 'vsnd';
import { Chime } from './chime.js';
import { Music } from './music.js';
import { ProgramPrompt } from './program-prompt.js';
import { Prompt } from './prompt.js';
import { readSound, SILENT } from './sound.js';
import { makeTunes } from './tunes.js';
import { serve } from './web.js';

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: { port: { type: 'string', default: '8080' }, socket: { type: 'string' } },
});
const sources = files.length > 0 ? await Promise.all(files.map(readSound)) : makeTunes();
const recording = fileURLToPath(new URL('prompt.flac', import.meta.url));

const card = await openCard({ reconnect: true }); // the sound comes back when the backend does
const music = new Music(card, 0, sources);
const prompt =
  values.socket === undefined
    ? new Prompt(card, 1, (await readSound(recording)).bytes, music)
    : await ProgramPrompt.offer(card, 1, values.socket, { recording, music });
const chime = new Chime(card, 2);
let isStopping = false;

/** What they are told is text, from the page. */
const buttons = {
  play: () => music.setPaused(false),
  pause: () => music.setPaused(true),
  mute: () => music.setMuted(true),
  unmute: () => music.setMuted(false),
  volume: (text) => music.setVolume(numberIn(text, -48, 0)),
  source: (text) => music.select(numberIn(text, 0, sources.length - 1)),
  navigate: () => void prompt.speak().catch(complain),
  chime: () => void chime.ring().catch(complain),
};

function readState() {
  return {
    controls: music.status,
    streams: {
      music: describe(music.stream, music.peaks, music.stream.underruns),
      prompt: describe(prompt.stream, prompt.peaks, prompt.underruns),
      chime: describe(chime.stream, chime.peaks, chime.underruns),
    },
    isSpeaking: prompt.isSpeaking,
    isRinging: chime.isRinging,
    chimeLatency: chime.latency,
  };
}

/** `out`: undefined where there has not been a stream yet. */
function describe(out, peaks, underruns) {
  if (out === undefined) return { state: 'closed', seconds: 0, latency: 0, peaks: SILENT, underruns };
  const { state, rate, clock, latency } = out;
  return { state, seconds: clock.frames / rate, latency: (latency / rate) * 1000, peaks, underruns };
}

function numberIn(text, least, most) {
  const number = Number(text || Number.NaN);
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new RangeError(`the value is "${text}"; allowed: ${least} to ${most}`);
}

function complain(error) {
  if (!isStopping) console.error(error.message);
}

let page;
try {
  page = await serve({ port: Number(values.port), readState, buttons });
  console.log(`head unit: ${page.address}`);
  if (prompt.address) console.log(`PULSE_SERVER=${prompt.address}`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), music.finished]);
} catch (error) {
  complain(error);
  process.exitCode = 1;
} finally {
  isStopping = true;
  page?.close();
  await prompt.close?.();
  await card.close();
}
