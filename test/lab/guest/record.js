// Records in the guest and says what: record.js '{"frames":48000}'.
import { createHash } from 'node:crypto';
import { openCard } from '../../../dist/index.js';

const say = (event) => console.log(JSON.stringify(event));

const { frames, card: options, ...format } = JSON.parse(process.argv[2]);
try {
  const card = await openCard(options);
  const recording = card.createCaptureStream({ rate: 48_000, channels: 2, format: 's16_le', ...format });
  const hash = createHash('sha256');
  let left = frames * recording.frameBytes;
  for await (const chunk of recording) {
    hash.update(chunk.subarray(0, left));
    left -= Math.min(left, chunk.length);
    if (left === 0) break;
  }
  const { overruns, positionReports } = recording;
  say({ event: 'recorded', frames, sha256: hash.digest('hex'), overruns, positionReports });
  await card.close();
} catch ({ code, message }) {
  say({ event: 'error', code, message });
  process.exitCode = 1;
}
