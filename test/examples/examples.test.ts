import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { makeWav, Running } from '../cli/run.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { recordExample, startExample } from './run-example.ts';

const files = useDirectory();

/** How strong a tone is in mono s16_le frames, 1 being full scale. */
function strength(bytes: Buffer, hz: number, rate = 48_000): number {
  const samples = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  let [real, imaginary] = [0, 0];
  samples.forEach((sample, frame) => {
    const phase = (2 * Math.PI * hz * frame) / rate;
    real += sample * Math.cos(phase);
    imaginary += sample * Math.sin(phase);
  });
  return (2 * Math.hypot(real, imaginary)) / samples.length / 32_768;
}

/** The left channel of stereo s16_le frames. */
function leftOf(bytes: Buffer): Buffer {
  const left = Buffer.alloc(bytes.length / 2);
  for (let frame = 0; 2 * frame < left.length; frame++) bytes.copy(left, 2 * frame, 4 * frame, 4 * frame + 2);
  return left;
}

describe('the examples', () => {
  test('play-tone.js, at the pace of a real card', async () => {
    const { status, stdout } = await startExample('play-tone.js').ended();
    expect(status).toBe(0);
    expect(stdout).toMatch(/^played 48000 frames at 48000 Hz, \d+ positions reported\n$/);
  });

  test('play-wav.js: the card hears the file', async () => {
    const song = makeWav(files.path('song.wav'), { format: 's24_le', rate: 96_000 });
    const { status, stdout } = await recordExample('play-wav.js', [song], files.path('heard.wav')).ended();
    expect(status).toBe(0);
    expect(stdout).toMatch(/^played 48000 frames at 96000 Hz, /);
    expect(await readAll(files.path('heard.wav'))).toEqual(await readAll(song));
  });

  test('speaker.js: the sine is heard to its last frame', async () => {
    const { status, stdout } = await recordExample('speaker.js', [], files.path('heard.wav')).ended();
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'played 88200 frames\n' });
    const { frames, rate, channels, bytes } = await readAll(files.path('heard.wav'));
    expect({ frames, rate, channels }).toEqual({ frames: 88_200, rate: 44_100, channels: 2 });
    expect(strength(leftOf(bytes), 440, rate)).toBeCloseTo(16_000 / 32_768, 3);
  });

  test('record-wav.js: the file holds what the card captured', async () => {
    const take = files.path('take.wav');
    const { status, stdout } = await startExample('record-wav.js', [take, '0.5']).ended();
    expect({ status, stdout }).toEqual({ status: 0, stdout: `recorded 24000 frames into ${take}\n` });
    const { frames, channels, bytes } = await readAll(take);
    expect({ frames, channels }).toEqual({ frames: 24_000, channels: 2 });
    expect(strength(leftOf(bytes), 1000)).toBeCloseTo(0.1, 3); // -20 dBFS
  });

  test('two-zones.js: each zone hears its own programme', async () => {
    const { status, stdout } = await recordExample('two-zones.js', [], files.path('heard.wav')).ended();
    expect(status).toBe(0);
    expect(stdout.split('\n').toSorted()).toEqual([
      '',
      'front: PCM device 0 has played 2 s',
      'rear: PCM device 1 has played 1.75 s',
    ]);
    const zones = await Promise.all(['heard.wav', 'heard-2.wav'].map((name) => readAll(files.path(name))));
    const front = zones.find(({ frames }) => frames === 96_000)?.bytes;
    const rear = zones.find(({ frames }) => frames === 84_000)?.bytes;
    if (front === undefined || rear === undefined) throw new Error('a zone is missing');
    const firstNotes = [front, rear].map((bytes) => bytes.subarray(0, 24_000)); // of 250 ms
    const strengths = firstNotes.map((bytes) => [220, 880].map((hz) => strength(bytes, hz)));
    expect(strengths[0]?.[0]).toBeGreaterThan(10 * (strengths[0]?.[1] ?? 0));
    expect(strengths[1]?.[1]).toBeGreaterThan(10 * (strengths[1]?.[0] ?? 0));
  });

  test('intercom.js: what is captured is heard after 100 ms of silence, and both clocks are shown', async () => {
    const heard = files.path('heard.wav');
    const { status, stdout } = await recordExample('intercom.js', ['1.2'], heard, { fast: false }).ended();
    expect(status).toBe(0);
    const clock = String.raw`\d+\.\d{3} s \+- \d+\.\d ms`;
    expect(stdout).toMatch(new RegExp(`^captured ${clock}; played ${clock}; delay \\d+ ms$`, 'm'));
    const [, captured, played] = /^captured (\d+) frames, played (\d+)$/m.exec(stdout)?.map(Number) ?? [];
    const { frames, bytes } = await readAll(heard);
    expect(captured).toBeGreaterThan(24_000);
    expect([frames, played]).toEqual([Number(captured) + 4800, Number(captured) + 4800]);
    expect(bytes.subarray(0, 4 * 4800).every((byte) => byte === 0)).toBe(true);
    expect(strength(leftOf(bytes.subarray(4 * 4800)), 1000)).toBeCloseTo(0.1, 3); // -20 dBFS
  });

  test('worker/: the tone is heard to its last frame while the main thread is busy', async () => {
    const heard = files.path('heard.wav');
    const { status, stdout } = await recordExample('worker/main.js', ['1'], heard).ended();
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^played 48000 frames, \d+ underruns, while the main thread was busy for \d+ s\n$/,
    );
    const { frames, bytes } = await readAll(heard);
    expect(frames).toBe(48_000);
    expect(strength(bytes, 440)).toBeCloseTo(8000 / 32_768, 3);
  });

  test('own-tests/: the tests of the example pass', async () => {
    const script = fileURLToPath(new URL('../../examples/own-tests/play-list.test.js', import.meta.url));
    // Without the runner's own environment, in which node --test would be a part of another's run.
    const { status, stdout } = await new Running(process.execPath, ['--test', script], {
      NODE_TEST_CONTEXT: undefined,
    }).ended();
    expect(stdout).toMatch(/^\W*pass 4$/m);
    expect(status).toBe(0);
  });
});
