import { existsSync, readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { execCaptureDevice } from '../../src/backend/exec-capture.ts';
import { execPlaybackDevice } from '../../src/backend/exec-playback.ts';
import type { DeviceParams } from '../../src/backend/pcm-device.ts';
import { RealClock } from '../../src/clock.ts';
import { deferred } from '../../src/deferred.ts';
import { useDirectory } from '../wav/files.ts';

const directory = useDirectory();

const PARAMS: DeviceParams = {
  rate: 48_000,
  channels: 2,
  format: 's16_le',
  frameBytes: 4,
  periodBytes: 1 << 20,
};

/** A program that notes that it has been started. */
const program = (command: string) => ({
  description: 'a program',
  formats: ['s16_le'] as const,
  commandFor: () => ({
    name: 'a program',
    file: 'sh',
    args: ['-c', `echo >>"$1"; ${command}`, 'sh', directory.path('started')],
  }),
});

/** How often it has been started. */
function started(): number {
  const file = directory.path('started');
  return existsSync(file) ? readFileSync(file).length : 0;
}

test('START and STOP of a program that captures, a thousand times, start one more at most', async () => {
  const device = execCaptureDevice({
    ...program('exec cat /dev/zero'),
    ...{ clock: new RealClock(), isLive: false, log: () => {} },
  });
  const voice = await device.openCapture(PARAMS, { captured: () => {}, failed: () => {} });
  for (let time = 0; time < 1000; time++) {
    voice.start();
    voice.stop();
  }
  await voice.close();
  expect(started()).toBeLessThanOrEqual(2);
});

test('WRITE, START and STOP of a program that plays neither start more, nor hold what was written', async () => {
  const piece = new Uint8Array(1 << 20);
  let available = 0;
  const feed = {
    get available() {
      return available;
    },
    take: () => piece.subarray(0, available),
    ...{ played: () => {}, dry: () => {}, failed: () => {} },
  };
  const voice = await execPlaybackDevice(program('exec sleep 60')).openPlayback(PARAMS, feed);
  onTestFinished(() => voice.close({ drain: false }).catch(() => {}));
  const before = process.memoryUsage().arrayBuffers;
  for (let time = 0; time < 200; time++) {
    available = piece.length;
    voice.refilled();
    voice.start();
    voice.stop();
    available = 0;
  }
  expect((process.memoryUsage().arrayBuffers - before) / piece.length).toBeLessThan(10);
  await voice.close({ drain: false });
  expect(started()).toBeLessThanOrEqual(2);
});

test('they are run anew no faster than they may be', async () => {
  const asked = deferred();
  const admitted = deferred();
  const device = execCaptureDevice({
    ...program('exec cat /dev/zero'),
    ...{ clock: new RealClock(), isLive: false, log: () => {} },
    admit: () => {
      asked.resolve();
      return admitted.promise;
    },
  });
  const captured = deferred();
  const voice = await device.openCapture(PARAMS, { captured: () => captured.resolve(), failed: () => {} });
  voice.stop();
  voice.start();
  await asked.promise;
  const before = started(); // the first one was ended, maybe before it could say so
  admitted.resolve();
  await captured.promise;
  expect(started()).toBe(before + 1);
  await voice.close();
});
