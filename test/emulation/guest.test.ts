import { afterEach, describe, expect, test } from 'vitest';
import type { EmulatedGuest, EmulatedGuestOptions } from '../../src/emulation/guest.ts';
import { WavWriter } from '../../src/wav/writer.ts';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { openRequest, type RawChannel, RawFrontend } from '../backend/raw-frontend.ts';
import { noise } from '../sound.ts';
import { useDirectory } from '../wav/files.ts';

// The backend's thread needs the compiled files.
const { startEmulatedGuest } = (await import(
  new URL('../../dist/emulation/guest.js', import.meta.url).href
)) as {
  startEmulatedGuest(options?: EmulatedGuestOptions): Promise<EmulatedGuest>;
};

const directory = useDirectory();
const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A guest, and a frontend in it. */
async function start(options: EmulatedGuestOptions) {
  const guest = await startEmulatedGuest({ sink: 'null', ...options });
  ends.push(() => guest.close());
  const frontend = await RawFrontend.create(guest.hypervisor as EmulatedDomain);
  ends.push(() => frontend.release());
  return { guest, frontend };
}

const nodes = (frontend: RawFrontend, stream: string, ...names: string[]) =>
  Promise.all(names.map((name) => frontend.xenstore.read(`${frontend.path}/${stream}/${name}`)));

/** Captures through the second stream, at the real clock's pace. */
async function record(frontend: RawFrontend, length: number, changes = {}): Promise<Buffer> {
  const [, channel] = await frontend.connect(['0/0', '0/1', '1/0', '2/0']);
  if (channel === undefined) throw new Error('not connected');
  const buffer = await frontend.createBuffer(length);
  expect(
    await answered(channel, openRequest(buffer, { bufferBytes: length, periodBytes: 0, ...changes })),
  ).toBe(0);
  expect(await answered(channel, { op: 'trigger', trigger: 'start' })).toBe(0);
  expect(await answered(channel, { op: 'read', offset: 0, length })).toBe(0); // waits for what is to come
  return Buffer.from(buffer.read(0, length));
}

async function answered(channel: RawChannel, request: Parameters<RawChannel['send']>[0]): Promise<number> {
  const notified = new Promise<void>((resolve) => channel.ringPort.onNotify(resolve));
  channel.send(request);
  await notified;
  return channel.takeResponses()[0]?.status ?? Number.NaN;
}

describe('the emulated guest', () => {
  test('has a playback and a capture stream, each with what its device can do', async () => {
    const { frontend, guest } = await start({});
    expect(await nodes(frontend, '0/0', 'type', 'unique-id')).toEqual(['p', 'playback0']);
    expect(await nodes(frontend, '0/1', 'type', 'unique-id')).toEqual(['c', 'capture0']);
    const [formats, rates] = await nodes(frontend, '0/1', 'sample-formats', 'sample-rates');
    expect(formats).toContain('s16_le');
    expect(formats).not.toContain('iec958_subframe_le'); // a sine has samples
    expect(rates).toContain('48000');
    expect((await nodes(frontend, '0/0', 'sample-formats')).join()).toContain('iec958_subframe_le');
    expect(guest.source.description).toBe('a sine of 1000 Hz at -20 dBFS');
  });

  test('has two more PCM devices that play', async () => {
    const { frontend } = await start({});
    expect(await nodes(frontend, '1/0', 'type', 'unique-id')).toEqual(['p', 'playback1']);
    expect(await nodes(frontend, '2/0', 'type', 'unique-id')).toEqual(['p', 'playback2']);
    expect(await nodes(frontend, '2/0', 'sample-rates')).toEqual(
      await nodes(frontend, '0/0', 'sample-rates'),
    );
  });

  test('captures the sine that it is told, from its first frame', async () => {
    const { frontend } = await start({ source: 'sine:440' });
    const bytes = await record(frontend, 8192);
    for (let n = 0; n < 2048; n++) {
      const expected = 3276.8 * Math.sin((880 * Math.PI * n) / 48_000);
      expect(Math.abs(bytes.readInt16LE(4 * n) - expected)).toBeLessThanOrEqual(0.5 + 1e-9);
    }
  });

  test('captures silence', async () => {
    const { frontend } = await start({ source: 'silence' });
    expect(await record(frontend, 4096)).toEqual(Buffer.alloc(4096));
  });

  test('captures a WAV file, whose parameters are the stream’s', async () => {
    const format: PcmFormatName = 's16_le';
    const wav = new WavWriter(directory.path('x.wav'), { format, rate: 12_345, channels: 1 });
    wav.write(noise(2000));
    wav.close();
    const { frontend } = await start({ source: `wav:${directory.path('x.wav')}` });
    const bounds = ['sample-formats', 'sample-rates', 'channels-min', 'channels-max'];
    expect(await nodes(frontend, '0/1', ...bounds)).toEqual(['s16_le', '12345', '1', '1']);
    const bytes = await record(frontend, 4000, { rate: 12_345, channels: 1 });
    expect(bytes).toEqual(Buffer.concat([noise(2000), noise(2000)]));
  });

  test.each([
    ['speakers', { code: 'ERR_VSND_INVALID_ARG' }],
    ['wav:/none/x.wav', { code: 'ERR_VSND_FILE', errno: 'ENOENT' }],
  ])('is refused with the source %s, and leaves nothing', async (source, error) => {
    await expect(startEmulatedGuest({ sink: 'null', source })).rejects.toMatchObject(error);
  });
});
