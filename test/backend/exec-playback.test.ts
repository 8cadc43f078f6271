import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type ExecPlaybackOptions, execPlaybackDevice } from '../../src/backend/exec-playback.ts';
import type { DeviceParams, PlaybackFeed, PlaybackVoice } from '../../src/backend/pcm-device.ts';
import { type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';
import { noise } from '../sound.ts';
import { lifeline, written } from '../waits.ts';
import { useDirectory } from '../wav/files.ts';

const directory = useDirectory();

// The FIFOs of a test are made in its own directory: none may be left there.
beforeEach(() => void vi.stubEnv('TMPDIR', directory.path('.')));
afterEach(() => {
  expect(readdirSync(directory.path('.')).filter((name) => name.startsWith('vsnd-'))).toEqual([]);
  vi.unstubAllEnvs();
});

/** Bytes to be played, and what the device says of them. */
class TestFeed implements PlaybackFeed {
  bytes: Uint8Array;
  position = 0;
  isDry = false;
  readonly failures: Error[] = [];
  readonly #waiting: (() => void)[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get available(): number {
    return this.bytes.length;
  }

  take(most: number): Uint8Array {
    const taken = this.bytes.subarray(0, most);
    this.bytes = this.bytes.subarray(taken.length);
    return taken;
  }

  played(bytes: number): void {
    this.position += bytes;
    this.isDry = false;
    this.#changed();
  }

  dry(): void {
    this.isDry = true;
    this.#changed();
  }

  failed(error: Error): void {
    this.failures.push(error);
    this.#changed();
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const PARAMS: DeviceParams = {
  rate: 48_000,
  channels: 2,
  format: 's16_le',
  frameBytes: 4,
  periodBytes: 4096,
};

/** A shell's command line as a device; `$1` is the test's directory. */
function shell(command: string, options: Partial<ExecPlaybackOptions> = {}) {
  return execPlaybackDevice({
    description: command,
    formats: ['s16_le'],
    commandFor: () => ({ name: 'player', file: 'sh', args: ['-c', command, 'sh', directory.path('.')] }),
    ...options,
  });
}

async function open(
  command: string,
  bytes: Uint8Array,
  { params = {}, ...options }: Partial<ExecPlaybackOptions> & { params?: Partial<DeviceParams> } = {},
): Promise<{ voice: PlaybackVoice; feed: TestFeed }> {
  const feed = new TestFeed(bytes);
  const voice = await shell(command, options).openPlayback({ ...PARAMS, ...params }, feed);
  onTestFinished(() => voice.close({ drain: false }).catch(() => {}));
  return { voice, feed };
}

const heard = (name = 'heard') => readFileSync(directory.path(name));

/** The program has come as far as to write to that file. */
const isThere = (name: string) => written(directory.path(name));

/** A zombie, whose parent has not asked for it yet, is not alive. */
const isAlive = (pid: number) => {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, 'utf8'));
};

/** A program that waits to be let go before it reads. */
const GATED = 'mkfifo "$1/gate"; read go < "$1/gate"; cat > "$1/heard"';
const openGate = () => writeFile(directory.path('gate'), 'go\n');

describe('a program at the end of a pipe', () => {
  test.each<[PcmFormatName, number]>([
    ['u8', 1],
    ['s16_le', 2],
    ['s24_le', 2],
    ['s32_le', 6],
    ['float64_le', 8],
  ])('hears %s of %i channels bit for bit', async (format, channels) => {
    const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
    const bytes = noise(frameBytes * 20_000);
    const params = { format, channels, frameBytes, periodBytes: frameBytes * 512 };
    const { voice, feed } = await open('cat > "$1/heard"', bytes.slice(), { params });
    voice.start();
    await voice.close({ drain: true });
    expect(feed.position).toBe(bytes.length);
    expect(Buffer.compare(heard(), bytes)).toBe(0);
    expect(feed.failures).toEqual([]);
  });

  test('is not given anything before START, and goes on after it has been dry', async () => {
    const { voice, feed } = await open('cat > "$1/heard"', noise(4000, 1));
    expect(feed.position).toBe(0);
    voice.start();
    await feed.until(() => feed.isDry);
    expect(feed.position).toBe(4000);
    feed.bytes = noise(4000, 2);
    voice.refilled();
    await voice.close({ drain: true });
    expect(heard()).toEqual(Buffer.concat([noise(4000, 1), noise(4000, 2)]));
  });

  test('that reads slowly holds the position back', async () => {
    const bytes = noise(400_000);
    const { voice, feed } = await open(GATED, bytes.slice());
    voice.start();
    await feed.until(() => feed.position === 65_536);
    const closed = voice.close({ drain: true });
    expect(feed.position).toBe(65_536);
    await openGate();
    await closed;
    expect(feed.position).toBe(400_000);
    expect(Buffer.compare(heard(), bytes)).toBe(0);
  });

  test('gets a pipe of about a period', async () => {
    const asked: number[] = [];
    const setPipeSize = (_fd: number, bytes: number) => void asked.push(bytes);
    for (const periodBytes of [0, 256, 8192, 1 << 20]) {
      const { voice } = await open('cat > /dev/null', noise(400), { setPipeSize, params: { periodBytes } });
      await voice.close({ drain: false });
    }
    expect(asked).toEqual([4096, 4096, 8192, 65_536]);
  });

  test('is paused by not being given more', async () => {
    const { voice, feed } = await open('cat > "$1/heard"', noise(40_960));
    voice.start();
    voice.pause();
    await feed.until(() => feed.position > 0);
    expect(feed.position).toBe(4096);
    voice.resume();
    await voice.close({ drain: true });
    expect(Buffer.compare(heard(), noise(40_960))).toBe(0);
  });
});

describe('STOP', () => {
  test('with something queued ends the program; START runs it anew', async () => {
    // The first time it does not read.
    const command =
      'echo run >> "$1/runs"; test $(wc -l < "$1/runs") = 1 && exec sleep 1000; exec cat > "$1/heard"';
    const { voice, feed } = await open(command, noise(400_000, 1));
    voice.start();
    await feed.until(() => feed.position > 0);
    await isThere('runs');
    voice.pause();
    voice.stop();
    feed.bytes = noise(8000, 2);
    voice.start();
    await voice.close({ drain: true });
    expect(readFileSync(directory.path('runs'), 'utf8')).toBe('run\nrun\n');
    expect(heard()).toEqual(Buffer.from(noise(8000, 2)));
    expect(feed.failures).toEqual([]);
  });

  test('when all has been reported as played lets the program play out what it has', async () => {
    const bytes = noise(40_000);
    const { voice, feed } = await open(GATED, bytes.slice());
    voice.start();
    await feed.until(() => feed.isDry);
    voice.stop();
    const closed = voice.close({ drain: false });
    await openGate();
    await closed;
    expect(Buffer.compare(heard(), bytes)).toBe(0);
  });

  test('and START after that go on with the same program', async () => {
    const { voice, feed } = await open('cat > "$1/heard"', noise(4000, 1));
    voice.start();
    await feed.until(() => feed.isDry);
    voice.stop();
    feed.bytes = noise(4000, 2);
    voice.start();
    await voice.close({ drain: true });
    expect(heard()).toEqual(Buffer.concat([noise(4000, 1), noise(4000, 2)]));
  });

  test('of one that has not read anything, then CLOSE, leaves none of it running', async () => {
    const { voice, feed } = await open('echo $$ > "$1/pid"; exec sleep 1000', noise(400_000));
    voice.start();
    await feed.until(() => feed.position === 65_536);
    await isThere('pid');
    voice.stop();
    feed.bytes = new Uint8Array(0);
    await voice.close({ drain: false });
    expect(isAlive(Number(heard('pid')))).toBe(false);
    expect(feed.failures).toEqual([]);
  });
});

describe('a program that fails', () => {
  test.each([
    ['echo first >&2; echo "no such card" >&2; exit 3', 'player ended with status 3: no such card'],
    ['exit 3', 'player ended with status 3'],
    ['exit 0', 'player ended before its sound did'],
    ['kill -SEGV $$', 'player was ended by SIGSEGV'],
    ['head -c 100 > /dev/null', 'player ended before its sound did'],
    ['printf "%0999d" 1 >&2; exit 1', `player ended with status 1: ${'0'.repeat(200)}`],
  ])('by itself (%s) is a failed device', async (command, message) => {
    const { voice, feed } = await open(command, noise(400_000));
    voice.start();
    await feed.until(() => feed.failures.length > 0);
    expect(feed.failures).toMatchObject([{ code: 'ERR_VSND_DEVICE', message }]);
    await expect(voice.close({ drain: true })).rejects.toThrow(message);
    expect(feed.failures).toHaveLength(1);
  });

  test('before START is one too', async () => {
    const { feed } = await open('echo busy >&2; exit 1', noise(400));
    await feed.until(() => feed.failures.length > 0);
    expect(feed.failures).toMatchObject([{ message: 'player ended with status 1: busy' }]);
  });

  test('only at its end lets CLOSE fail', async () => {
    const { voice, feed } = await open('cat > "$1/heard"; echo "disk full" >&2; exit 4', noise(4000));
    voice.start();
    await expect(voice.close({ drain: true })).rejects.toMatchObject({
      code: 'ERR_VSND_DEVICE',
      message: 'player ended with status 4: disk full',
    });
    expect(feed.position).toBe(4000);
    expect(heard()).toHaveLength(4000);
  });

  test('by closing its standard input is ended', async () => {
    const command = 'echo $$ > "$1/pid"; exec <&-; sleep 1000; true';
    const { voice, feed } = await open(command, noise(400_000));
    voice.start();
    await feed.until(() => feed.failures.length > 0);
    expect(feed.failures).toMatchObject([{ message: 'player has closed its standard input' }]);
    await expect(voice.close({ drain: true })).rejects.toThrow('closed its standard input');
    expect(isAlive(Number(heard('pid')))).toBe(false);
  });

  test('by never reading holds CLOSE for a bounded time', async () => {
    const command = 'echo $$ > "$1/pid"; exec sleep 1000';
    const params = { rate: 192_000 };
    const { voice, feed } = await open(command, noise(80_000), { closeGrace: 100, params });
    voice.start();
    const message = 'player had not ended 100 ms after the time of its last frame';
    await expect(voice.close({ drain: true })).rejects.toMatchObject({ code: 'ERR_VSND_DEVICE', message });
    expect(feed.position).toBe(65_536);
    expect(isAlive(Number(heard('pid')))).toBe(false);
  });

  test('by ignoring SIGTERM, and standard input, is ended all the same', async () => {
    const command = 'trap "" TERM; echo $$ > "$1/pid"; while :; do sleep 1000; done';
    const { voice, feed } = await open(command, noise(400_000));
    voice.start();
    await feed.until(() => feed.position === 65_536);
    await isThere('pid');
    await voice.close({ drain: false });
    expect(isAlive(Number(heard('pid')))).toBe(false);
    expect(feed.failures).toEqual([]);
  });

  test('to take anything with it when it ends leaves that to us', async () => {
    const { ended } = lifeline(directory.path('life'));
    const command = 'exec 3> "$1/life"; sleep 1000 < /dev/null & cat > "$1/heard"';
    const { voice } = await open(command, noise(4000));
    voice.start();
    await voice.close({ drain: true });
    expect(heard()).toHaveLength(4000);
    await ended;
  });

  test('to be there lets OPEN fail', async () => {
    const commandFor = () => ({ name: 'aplayer', file: 'no-such-aplayer', args: [] });
    const opened = shell('', { commandFor }).openPlayback(PARAMS, new TestFeed(noise(4)));
    await expect(opened).rejects.toMatchObject({
      code: 'ERR_VSND_DEVICE',
      message: 'cannot start aplayer: spawn no-such-aplayer ENOENT',
    });
  });

  test('to be there at START after STOP is a failed device', async () => {
    const files = ['sh', 'no-such-aplayer'];
    const commandFor = () => ({ name: 'aplayer', file: files.shift() ?? '', args: ['-c', 'sleep 1000'] });
    const { voice, feed } = await open('', noise(400_000), { commandFor });
    voice.start();
    await feed.until(() => feed.position > 0);
    voice.stop();
    voice.start();
    await feed.until(() => feed.failures.length > 0);
    expect(feed.failures[0]?.message).toContain('cannot start aplayer');
    await expect(voice.close({ drain: true })).rejects.toThrow('cannot start aplayer');
  });
});

test('closing twice, the second time in a hurry', async () => {
  const { voice, feed } = await open('exec sleep 1000', noise(400_000));
  voice.start();
  await feed.until(() => feed.position === 65_536);
  const first = voice.close({ drain: true });
  await voice.close({ drain: false });
  await first;
  expect(feed.failures).toEqual([]);
});
