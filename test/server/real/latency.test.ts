import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { noise, occurrences, writeWav } from '../../bridge/real/sound.ts';
import { hurryProcess } from '../../bridge/real/sound-server.ts';
import { outcomeOf } from './serve-command.ts';
import { RAW, serveHere } from './serve-here.ts';

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
