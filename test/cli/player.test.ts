import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Loudness } from '../../src/cli/play/loudness.ts';
import { Player } from '../../src/cli/play/player.ts';
import { Playlist } from '../../src/cli/play/playlist.ts';
import type { Heard } from '../../src/cli/play/timeline.ts';
import { Voice } from '../../src/cli/play/voice.ts';
import { VsndError } from '../../src/errors.ts';
import { type Card, openCard } from '../../src/index.ts';
import { startTestGuest, type TestGuest } from '../../src/testing.ts';
import { FRAME } from '../sound.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { makeWav } from './run.ts';

const RATE = 8000;
const files = useDirectory();
let guest: TestGuest;
let card: Card;
let problems: unknown[];

beforeEach(async () => {
  problems = [];
  guest = await startTestGuest({ rate: RATE, fields: { 'sample-rates': '8000' } });
  card = await openCard({ hypervisor: guest.hypervisor });
});

afterEach(async () => {
  await card.close();
  await guest.close();
});

/** Plays files of 8000 Hz, 16 bits, stereo, on a clock in the test's hand. */
function playFiles(...names: string[]) {
  return playWith({}, ...names);
}

/** As {@link playFiles}, with options of the command. */
function playWith({ buffer }: { buffer?: number }, ...names: string[]) {
  const heard: Heard[] = [];
  const playlist = new Playlist({
    files: names,
    raw: undefined,
    excerpt: { start: 0, duration: undefined },
    stdin: process.stdin,
    signal: new AbortController().signal,
    onTitle: () => {},
    onFailure: (error) => problems.push(error),
    onRemark: (remark) => problems.push(remark),
  });
  const limits = card.info.pcmDevices[0]?.streams[0] ?? expect.unreachable();
  const loudness = new Loudness(undefined, () => {
    voice.useSoftwareVolume();
    player.restart();
  });
  const voice = new Voice({
    card,
    device: 0,
    limits,
    buffer,
    isMetered: true,
    isVolumeSoftware: false,
    onStream: (stream) => void loudness.attach(stream),
  });
  const player = new Player({ voice, limits, playlist, rounds: 1, onHeard: (what) => heard.push(what) });
  const done = player.play(0).finally(() => playlist.close());
  return { player, voice, loudness, heard, done };
}

/** A file whose frames all differ, and its bytes. */
async function song(name: string, seconds: number): Promise<[path: string, bytes: Buffer]> {
  const path = makeWav(files.path(name), { rate: RATE, seconds });
  return [path, (await readAll(path)).bytes];
}

/**
 * Lets time pass until `what` is so, `frames` a turn. Files are read beside the clock, however long that takes: what is so only
 * for a moment is waited for in no time, 0 frames.
 */
async function until(what: () => boolean, frames = 80): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!what()) {
    expect(performance.now(), 'it never came').toBeLessThan(deadline);
    await new Promise((resolve) => setImmediate(resolve));
    await guest.clock.advance(frames);
  }
}

const framesOf = (bytes: Uint8Array) => bytes.length / FRAME;

describe('the buffer', () => {
  it.each([
    [1000, 8000],
    [10_000, 13_104], // as far as the card has room: 64 KiB
  ])('of %i ms', async (buffer, frames) => {
    const [path] = await song('song.wav', 3);
    const { player, voice, done } = playWith({ buffer }, path);
    await until(() => voice.position > 0);
    expect(voice.stream?.bufferFrames).toBe(frames);
    player.stop();
    await done;
  });
});

describe('going elsewhere', () => {
  it('asks a server again for what it has only from the start', async () => {
    const [path] = await song('song.wav', 60);
    let requests = 0;
    const server = createServer((_, response) => {
      requests += 1;
      response.end(readFileSync(path));
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { player, voice, done } = playFiles(`http://127.0.0.1:${port}/`);
    await until(() => voice.position > 4000);
    player.restart();
    await until(() => guest.device.heard(1) !== undefined && voice.position > 8000);
    player.stop();
    await done;
    expect(problems).toEqual([]);
    expect(requests).toBe(2);
  });

  it('goes on at the very frame, and nothing of what was queued is heard', async () => {
    const [path, bytes] = await song('song.wav', 60);
    const { player, voice, done } = playFiles(path);
    await until(() => voice.position > 4000);
    const before = player.heard?.frame ?? 0;
    expect(before).toBe(voice.position);
    expect(player.seek(10)).toBe(true);
    await until(() => guest.device.heard().length > 0 && voice.position > before + 1000);
    const target = before + 10 * RATE;
    expect(player.heard?.frame).toBe(target + voice.position - before);
    player.stop();
    await done;
    const [first, second] = [guest.device.heard(0), guest.device.heard(1)];
    expect(first.length).toBeLessThan((before + RATE) * FRAME);
    expect(bytes.subarray(0, first.length).equals(first)).toBe(true);
    expect(
      bytes
        .subarray(target * FRAME)
        .subarray(0, second.length)
        .equals(second),
    ).toBe(true);
    expect(framesOf(second)).toBeGreaterThan(900);
    expect(player.frames.get(0)).toBe(voice.position);
  });

  it('one press after the other adds up; not before the start', async () => {
    const [path] = await song('song.wav', 60);
    const { player, voice, done } = playFiles(path);
    await until(() => voice.position > 400);
    const { frame = 0 } = player.heard ?? {};
    player.seek(10);
    player.seek(10);
    await until(() => (player.heard?.frame ?? 0) > 15 * RATE);
    const after = player.heard?.frame ?? 0;
    expect(after).toBeGreaterThanOrEqual(frame + 20 * RATE);
    expect(after).toBeLessThan(frame + 21 * RATE);
    player.seek(-100);
    await until(() => (player.heard?.frame ?? 0) < RATE);
    player.stop();
    await done;
  });

  it('behind the end is the next file; from there back to the one before, while the last is played out', async () => {
    const [one] = await song('one.wav', 5);
    const [two, bytes] = await song('two.wav', 0.2);
    const { player, voice, heard, done } = playFiles(one, two);
    await until(() => voice.position > 400);
    player.seek(10);
    await until(() => player.heard?.index === 1 && voice.stream?.writableEnded === true, 0);
    player.skip(-1);
    await until(() => player.heard?.index === 0 && voice.stream?.state === 'running');
    player.skip(1);
    await until(() => player.heard?.index === 1 && voice.stream?.writableEnded === true, 0);
    let isDone = false;
    void done.then(() => {
      isDone = true;
    });
    await until(() => isDone);
    expect(heard.map(({ index }) => index)).toEqual([0, 1, 0, 1]);
    expect(Buffer.from(guest.device.heard()).equals(bytes)).toBe(true);
    expect(problems).toEqual([]);
  });

  it('over one that cannot be played', async () => {
    const [one] = await song('one.wav', 5);
    const [three] = await song('three.wav', 5);
    const { player, voice, done } = playFiles(one, files.path('none.wav'), three);
    await until(() => voice.position > 400);
    player.skip(1);
    await until(() => player.heard?.index === 2);
    const { frame = 0 } = player.heard ?? {};
    expect(player.seek(1)).toBe(true);
    await until(() => (player.heard?.frame ?? 0) > frame + RATE);
    player.skip(-2);
    await until(() => player.heard?.index === 0);
    player.stop();
    await done;
    expect(problems).toEqual([expect.objectContaining({ code: 'ERR_VSND_FILE', errno: 'ENOENT' })]);
  });

  it('paused, it stays paused', async () => {
    const [path, bytes] = await song('song.wav', 60);
    const { player, voice, done } = playFiles(path);
    await until(() => voice.position > 400);
    const pausing = voice.setPaused(true);
    await guest.machine.settle();
    await pausing;
    const { position } = voice;
    player.seek(10);
    await until(() => (player.heard?.frame ?? 0) >= 10 * RATE);
    await guest.clock.advance(RATE);
    expect(voice.position).toBe(position);
    const resuming = voice.setPaused(false);
    await until(() => voice.position > position + 100);
    await resuming;
    player.stop();
    await done;
    const second = guest.device.heard();
    const start = bytes.indexOf(second.subarray(0, 64));
    expect(bytes.subarray(start, start + second.length).equals(second)).toBe(true);
  });
});

describe('a backend without volume', () => {
  it('has it done here: the sound goes on where it was, softer', async () => {
    const [path, bytes] = await song('song.wav', 60);
    const { player, voice, loudness, done } = playFiles(path);
    await until(() => voice.position > 400);
    const refusal = new VsndError('ERR_VSND_NOT_SUPPORTED', 'the backend has no volume');
    vi.spyOn(voice.stream ?? expect.unreachable(), 'getVolume').mockRejectedValue(refusal);
    const turning = loudness.turn(-6);
    const { position } = voice;
    await until(() => voice.position > position + 4000);
    await turning;
    expect(loudness.text).toBe('volume -6 dB');
    player.stop();
    await done;
    const [first, second] = [guest.device.heard(0), guest.device.heard(1)];
    expect(bytes.subarray(0, first.length).equals(first)).toBe(true);
    const samplesOf = ({ buffer, byteOffset, length }: Uint8Array) =>
      new Int16Array(buffer.slice(byteOffset, byteOffset + length));
    const start = position * FRAME;
    const softer = samplesOf(bytes.subarray(start, start + second.length)).map((sample) =>
      Math.round(sample * 10 ** -0.3),
    );
    expect(samplesOf(second)).toEqual(softer);
    expect(problems).toEqual([]);
  });
});
