import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createSoundServer } from '../../../src/index.ts';
import { openPlayingCard } from '../../bridge/real/playing-card.ts';
import { noise, occurrences, writeRaw, writeWav } from '../../bridge/real/sound.ts';
import { hurryProcess } from '../../bridge/real/sound-server.ts';
import { makeDirectory, outcomeOf } from './serve-command.ts';

const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le'];
/** A server in this process, on a card whose clock is off by so many ppm. */
async function serveHere(deviation = 0, latency = 100) {
  const playing = await openPlayingCard(deviation);
  const directory = makeDirectory();
  const server = await createSoundServer(playing.card, { path: join(directory, 's', 'native'), latency });
  onTestFinished(() => server.close());
  const env = { ...process.env, PULSE_SERVER: server.address, HOME: directory, XDG_RUNTIME_DIR: directory };
  return { playing, directory, server, env };
}

describe('latency', () => {
  test('of pacat that asks for 10 ms: what waits here, and at the card, is at most 25 ms', async () => {
    await hurryProcess(process.pid, 20);
    const { server, env } = await serveHere();
    const pacat = spawn('chrt', ['--fifo', '20', 'pacat', ...RAW, '--latency-msec=10', '/dev/zero'], {
      env,
      stdio: 'ignore',
    });
    await once(server, 'start');
    const delays: number[] = [];
    for (let look = 0; look < 200; look++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const [stream] = server.clients[0]?.streams ?? [];
      delays.push((stream?.buffered ?? 0) + (server.sinks[0]?.latency ?? 0));
    }
    pacat.kill('SIGKILL');
    const [median = 0] = delays.sort((a, b) => a - b).slice(100);
    console.log(
      `pacat --latency-msec=10: ${median.toFixed(1)} ms (median of ${delays.length}), xruns ${server.sinks[0]?.xruns}`,
    );
    expect(median).toBeLessThanOrEqual(25);
  });
});

describe('a card whose clock is off', () => {
  test.each([200, -200, 3000, -3000])('by %i ppm plays every sample, none twice', async (deviation) => {
    const { playing, directory, env, server } = await serveHere(deviation, 500);
    const sound = noise('s16_le', 2, 10 * 48_000);
    const file = writeWav(directory, 'sound.wav', { format: 's16_le', rate: 48_000, channels: 2 }, sound);
    const { status, stderr } = await outcomeOf(spawn('paplay', [file], { env }));
    expect(status, stderr).toBe(0);
    expect(occurrences(Buffer.concat(playing.takes.flat()), sound)).toBe(1);
    expect(server.sinks[0]?.xruns).toBe(0);
  });
});

const LONG = Number(process.env['VSND_LONG_RUN_SECONDS'] ?? 0);
const PPM = Number(process.env['VSND_LONG_RUN_PPM'] ?? 200);

describe.skipIf(LONG === 0)('long-run', () => {
  test.each([PPM, -PPM])(
    'at %i ppm loses nothing, and does not grow',
    async (deviation) => {
      const { playing, directory, env, server } = await serveHere(deviation, 500);
      const file = writeRaw(directory, 'sound.raw', noise('s16_le', 2, LONG * 48_000));
      const before = process.memoryUsage().rss;
      let heard = 0;
      playing.listener = (bytes) => {
        heard += bytes.length;
        for (const take of playing.takes) take.length = 0; // it would be what grows
      };
      const { status, stderr } = await outcomeOf(spawn('pacat', [...RAW, file], { env }), (LONG + 60) * 1000);
      expect(status, stderr).toBe(0);
      expect(server.sinks[0]).toMatchObject({ xruns: 0, frames: LONG * 48_000 });
      expect(heard).toBeGreaterThanOrEqual(LONG * 192_000);
      expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
    },
    (LONG + 90) * 1000,
  );
});
