import { describe, expect, test } from 'vitest';
import { SINK_NAMES } from '../../src/backend/device-names.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { start, vsnd } from './run.ts';

const files = useDirectory();
const fast = ['tone', '--emulate', '--fast'];

/** The samples of a WAV file of s16_le, a channel each. */
async function channelsOf(path: string): Promise<number[][]> {
  const { bytes, channels } = await readAll(path);
  const samples = Array.from({ length: bytes.length / 2 }, (_, index) => bytes.readInt16LE(index * 2));
  return Array.from({ length: channels }, (_, channel) =>
    samples.filter((_, index) => index % channels === channel),
  );
}

const loudest = (samples: number[]) => Math.max(...samples.map(Math.abs));

describe('wrong usage', () => {
  test.each([
    [['-t', 'square'], "--type is 'square'; allowed: sine, pink, walk"],
    [['-t', 'pink', '-f', '440'], '--frequency is not for pink noise'],
    [['-f', '0'], "--frequency is '0'; allowed: 1 to 96000 Hz"],
    [['-l', '2'], '--loops needs --type walk'],
    [['--level', '3'], "--level is '3'; allowed: -120 to 0 dBFS"],
    [['-d', '0'], "--duration is '0'; allowed: 0.02 to 1000000 s"],
    [['--fast'], '--fast needs --emulate'],
    [['--emulate', '--sink', 'x'], `--sink is 'x'; allowed: ${SINK_NAMES}`],
    [
      ['--emulate', '--sink', 'null', '-r', '8000', '-f', '4000'],
      "--frequency is '4000'; allowed: less than 4000 Hz, half the rate",
    ],
  ])('%j: status 2', async (args, message) => {
    const stderr = `vsnd: ${message}; see vsnd tone --help\n`;
    expect(await vsnd(['tone', ...args])).toEqual({ status: 2, stdout: '', stderr });
  });
});

describe('vsnd tone', () => {
  test('plays a sine, -20 dBFS in all channels', async () => {
    const heard = files.path('heard.wav');
    const running = start([...fast, '--sink', `wav:${heard}`, '-d', '0.5', '-f', '1000']);
    const { status, stdout, stderr } = await running.ended();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^playing a sine of 1000 Hz at -20 dBFS: s16_le, 48000 Hz, 2 channels\n/);
    expect(stdout).toMatch(/^played 24000 frames \(0:00\.5\) of sine/m);
    const [left = [], right] = await channelsOf(heard);
    expect(left.length).toBe(24_000);
    expect(right).toEqual(left);
    expect(left.slice(480, 484)).toEqual(
      [0, 1, 2, 3].map((n) => Math.round(3276.8 * Math.sin((2 * Math.PI * n) / 48))),
    );
    expect(loudest(left)).toBe(3277);
  });

  test('walks through the channels, and says which one it is', async () => {
    const heard = files.path('heard.wav');
    const { stdout } = await vsnd([...fast, '--sink', `wav:${heard}`, '-t', 'walk', '-c', '3', '-r', '8000']);
    const said = stdout.split('\n').filter((line) => /^\d: /.test(line));
    expect(said).toEqual(['0: Front Left', '1: Front Right', '2: Front Center']);
    const channels = await channelsOf(heard);
    expect(channels[0]).toHaveLength(3 * 10_000);
    for (const [channel, samples] of channels.entries()) {
      const start = channel * 10_000;
      expect(loudest(samples.slice(start, start + 8000))).toBeGreaterThan(3000);
      expect(loudest([...samples.slice(0, start), ...samples.slice(start + 8000)])).toBe(0);
    }
  });

  test('says in JSON what it has played', async () => {
    const args = ['--sink', 'null', '-t', 'walk', '-f', '500', '-l', '2', '-c', '1', '-r', '8000', '--json'];
    const { stdout } = await vsnd([...fast, ...args]);
    expect(JSON.parse(stdout)).toEqual({
      type: 'walk',
      frames: 20_000,
      format: 's16_le',
      rate: 8000,
      channels: 1,
      positionReports: expect.any(Number),
      underruns: null,
      estimatedUnderruns: null,
      sink: 'null: a clock that keeps nothing',
    });
  });

  test('fades on Ctrl-C', async () => {
    const heard = files.path('heard.wav');
    const running = start(['tone', '--emulate', '--sink', `wav:${heard}`, '-f', '100']);
    await running.said('buffer');
    running.child.kill('SIGINT');
    const { status, stdout, stderr } = await running.ended();
    expect({ status, stderr }).toEqual({ status: 130, stderr: '' });
    expect(stdout).toMatch(/^underruns: \d+$/m);
    const [left = []] = await channelsOf(heard);
    expect(loudest(left)).toBeGreaterThan(3000);
    expect(loudest(left.slice(-48))).toBeLessThan(200);
  });
});
