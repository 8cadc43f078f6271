// Plays noise and records meanwhile, whatever becomes of the backend: play-and-record.js '{"seed":1,"frames":48000}'. Says how it goes, in JSON.
import { once } from 'node:events';
import { openCard } from '../../../dist/index.js';
import { noise } from '../noise.js';

const say = (event) => console.log(JSON.stringify(event));

const { seed, frames, ...format } = JSON.parse(process.argv[2]);
try {
  const card = await openCard({ reconnect: true });
  const out = card.createPlaybackStream(format);
  const input = card.createCaptureStream(format);
  let recorded = 0;
  let hasTold = false;
  /** Both directions have moved since the last connection was made. */
  const tellOnce = () => {
    if (hasTold || recorded === 0 || out.state !== 'running') return;
    hasTold = true;
    say({ event: 'running', recorded });
  };
  input.on('data', (chunk) => {
    recorded += chunk.length / input.frameBytes;
  });
  out.on('position', tellOnce);
  out.on('disconnect', ({ error, frames: at }) => {
    say({ event: 'disconnect', code: error.code, frames: at, recorded });
    recorded = 0;
    hasTold = false;
  });
  out.on('reconnect', ({ frames: at, gap }) => say({ event: 'reconnect', frames: at, gap }));
  out.end(noise(seed, frames * out.frameBytes));
  await once(out, 'finish');
  say({ event: 'played', frames: out.position });
  await card.close();
} catch ({ code, message }) {
  say({ event: 'error', code, message });
  process.exitCode = 1;
}
