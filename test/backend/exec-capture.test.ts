import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type ExecCaptureOptions, execCaptureDevice } from '../../src/backend/exec-capture.ts';
import type { CaptureFeed, CaptureVoice, DeviceParams } from '../../src/backend/pcm-device.ts';
import { Recorder } from '../../src/backend/recorder.ts';
import { RealClock } from '../../src/clock.ts';
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

/** What a device has captured, and what it says of itself. */
class TestFeed implements CaptureFeed {
  readonly #pieces: Uint8Array[] = [];
  readonly failures: Error[] = [];
  readonly #waiting: (() => void)[] = [];

  captured(bytes: Uint8Array): void {
    this.#pieces.push(bytes.slice());
    this.#changed();
  }

  failed(error: Error): void {
    this.failures.push(error);
    this.#changed();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** So fast that a second of sound is nothing. */
const PARAMS: DeviceParams = {
  rate: 4_800_000,
  channels: 2,
  format: 's16_le',
  frameBytes: 4,
  periodBytes: 96_000,
};

/** A shell's command line as a device; `$1` is the test's directory. */
function shell(command: string, options: Partial<ExecCaptureOptions> = {}) {
  return execCaptureDevice({
    description: 'recorder',
    formats: ['s16_le'],
    commandFor: () => ({ name: 'recorder', file: 'sh', args: ['-c', command, 'sh', directory.path('.')] }),
    clock: new RealClock(),
    isLive: false,
    log: () => {},
    ...options,
  });
}

async function open(
  command: string,
  { params = {}, ...options }: Partial<ExecCaptureOptions> & { params?: Partial<DeviceParams> } = {},
): Promise<{ voice: CaptureVoice; feed: TestFeed }> {
  const feed = new TestFeed();
  const voice = await shell(command, options).openCapture({ ...PARAMS, ...params }, feed);
  onTestFinished(() => voice.close());
  return { voice, feed };
}

const contents = (name: string) => readFileSync(directory.path(name), 'utf8');
const isThere = (name: string) => written(directory.path(name));

/** A zombie, whose parent has not asked for it yet, is not alive. */
const isAlive = (pid: number) => {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, 'utf8'));
};

/** The FIFOs of a test that this process has open. */
function openPipes(): string[] {
  const links = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the one of readdirSync itself
    }
  });
  return links.filter((link) => link.startsWith(directory.path('.')));
}

describe('the standard output of a program', () => {
  test.each<[PcmFormatName, number]>([
    ['u8', 1],
    ['s24_le', 2],
    ['float64_le', 8],
  ])('is captured in %s of %i channels, bit for bit', async (format, channels) => {
    const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
    const bytes = noise(frameBytes * 20_000);
    directory.put('raw', bytes);
    const params = { format, channels, frameBytes, periodBytes: frameBytes * 4096 };
    const { voice, feed } = await open('cat "$1/raw"', { params });
    voice.start();
    await feed.until(() => feed.bytes.length >= bytes.length);
    expect(Buffer.compare(feed.bytes.subarray(0, bytes.length), bytes)).toBe(0);
    expect(feed.failures).toEqual([]);
  });

  test('is all captured where it ends, then silence; the log says so once', async () => {
    const bytes = noise(400_002);
    directory.put('raw', bytes);
    const log: string[] = [];
    const { voice, feed } = await open('cat "$1/raw"', { log: (line) => log.push(line) });
    voice.start();
    await feed.until(() => feed.bytes.length > bytes.length + 100_000);
    voice.pause();
    const silence = Buffer.alloc(feed.bytes.length - bytes.length);
    expect(Buffer.compare(feed.bytes, Buffer.concat([bytes, silence]))).toBe(0);
    expect(log).toEqual(['recorder has nothing more to say: silence follows']);
    expect(feed.failures).toEqual([]);
  });

  test('is held back before START, and so is the program', async () => {
    const command = 'echo begun > "$1/begun"; head -c 1000000 /dev/zero; echo done > "$1/done"; sleep 1000';
    const { voice, feed } = await open(command);
    await isThere('begun');
    expect(existsSync(directory.path('done'))).toBe(false);
    expect(feed.bytes).toHaveLength(0);
    voice.start();
    await feed.until(() => feed.bytes.length >= 1_000_000);
    await isThere('done');
  });

  test('is never more than a little in this process', async () => {
    const command = { name: 'recorder', file: 'cat', args: ['/dev/zero'] };
    const recorder = new Recorder({ command });
    onTestFinished(() => void recorder.destroy());
    await once(recorder, 'readable');
    for (let turn = 0; turn < 500; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      expect(recorder.readableLength).toBeLessThanOrEqual(recorder.readableHighWaterMark + 65_536);
    }
  });

  test('of a live one is not held back', async () => {
    const command = 'head -c 1000000 /dev/zero; echo done > "$1/done"; exec sleep 1000';
    const { feed } = await open(command, { isLive: true });
    await isThere('done');
    expect(feed.bytes).toHaveLength(0);
  });
});

describe('a program', () => {
  test('is ended at STOP, and run anew at START, when the first one is gone', async () => {
    const command =
      'trap "sleep 0.1; echo end >> \\"$1/runs\\"; exit" TERM; echo run >> "$1/runs"; cat "$1/raw"; while :; do sleep 0.01; done';
    directory.put('raw', noise(4000));
    const { voice, feed } = await open(command);
    voice.start();
    await feed.until(() => feed.bytes.length >= 4000);
    voice.stop();
    voice.start();
    await feed.until(() => feed.bytes.length >= 8000);
    expect(feed.bytes).toEqual(Buffer.concat([noise(4000), noise(4000)]));
    expect(contents('runs')).toBe('run\nend\nrun\n');
    await voice.close();
    expect(contents('runs')).toBe('run\nend\nrun\nend\n');
    expect(feed.failures).toEqual([]);
  });

  test('that ignores SIGTERM is ended all the same, with all that it has started', async () => {
    const { ended } = lifeline(directory.path('life'));
    const command =
      'exec 3> "$1/life"; trap "" TERM; sleep 1000 & echo > "$1/begun"; while :; do sleep 1000; done';
    const { voice } = await open(command);
    await isThere('begun');
    await voice.close();
    await ended;
  });

  test('that closes its standard output may live on in silence', async () => {
    const { voice, feed } = await open('echo $$ > "$1/pid"; exec >&-; exec sleep 1000');
    voice.start();
    await feed.until(() => feed.bytes.length > 100_000);
    expect(isAlive(Number(contents('pid')))).toBe(true);
    await voice.close();
    expect(isAlive(Number(contents('pid')))).toBe(false);
  });

  test.each([
    ['echo first >&2; echo "no such card" >&2; exit 3', 'recorder ended with status 3: no such card'],
    ['exit 3', 'recorder ended with status 3'],
    ['kill -SEGV $$', 'recorder was ended by SIGSEGV'],
  ])('that fails (%s) is a failed device, whether it runs or not', async (command, message) => {
    for (const starts of [true, false]) {
      const log: string[] = [];
      const { voice, feed } = await open(command, { log: (line) => log.push(line) });
      if (starts) voice.start();
      await feed.until(() => feed.failures.length > 0);
      expect(feed.failures).toMatchObject([{ code: 'ERR_VSND_DEVICE', message }]);
      await voice.close();
      expect(feed.failures).toHaveLength(1);
      expect(log).toEqual([]);
    }
  });

  test('that is not there lets OPEN fail', async () => {
    const commandFor = () => ({ name: 'arecorder', file: 'no-such-arecorder', args: [] });
    await expect(shell('', { commandFor }).openCapture(PARAMS, new TestFeed())).rejects.toMatchObject({
      code: 'ERR_VSND_DEVICE',
      message: 'cannot start arecorder: spawn no-such-arecorder ENOENT',
    });
    await vi.waitUntil(() => openPipes().length === 0);
  });

  test('that is not there at START after STOP is a failed device', async () => {
    const files = ['sh', 'no-such-arecorder'];
    const commandFor = () => ({ name: 'arecorder', file: files.shift() ?? '', args: ['-c', 'sleep 1000'] });
    const { voice, feed } = await open('', { commandFor });
    voice.start();
    voice.stop();
    voice.start();
    await feed.until(() => feed.failures.length > 0);
    expect(feed.failures[0]?.message).toContain('cannot start arecorder');
  });

  test('that is closed before it has been started anew is gone, and says nothing', async () => {
    const { voice, feed } = await open('echo $$ >> "$1/pids"; exec sleep 1000');
    await isThere('pids');
    voice.start();
    voice.stop();
    voice.start();
    await voice.close();
    for (const pid of contents('pids').trim().split('\n')) expect(isAlive(Number(pid))).toBe(false);
    expect(feed.failures).toEqual([]);
  });
});
