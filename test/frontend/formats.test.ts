import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { PCM_FORMATS, type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';
import { noise } from '../sound.ts';
import { playUntil, startCard } from './setup.ts';

const SPEC = { rate: 48_000, channels: 2, bufferFrames: 1000, periodFrames: 100 } as const;
const ALL = PCM_FORMATS.map(({ name }) => name);
/** Compressed: a byte is no measure of time. */
const WITHOUT_FRAMES: readonly PcmFormatName[] = ['ima_adpcm', 'mpeg', 'gsm'];
const WITH_FRAMES = ALL.filter((name) => !WITHOUT_FRAMES.includes(name));

test('sndif.h has 25 formats; 22 of them have frames of a fixed size', () => {
  expect([ALL.length, WITH_FRAMES.length]).toEqual([25, 22]);
});

describe.each(WITH_FRAMES)('%s', (format) => {
  test('is played and captured as it is, both at once', async () => {
    const { guest, card } = await startCard({ capture: true });
    const out = card.createPlaybackStream({ ...SPEC, format });
    const input = card.createCaptureStream({ ...SPEC, format });
    expect(out.frameBytes).toBe(2 * (pcmFormat(format).sampleBytes ?? 0));
    const played = noise(2345 * out.frameBytes);
    const said = noise(2000 * input.frameBytes, 2);
    guest.device.say(said);
    const chunks: Buffer[] = [];
    input.on('data', (chunk: Buffer) => chunks.push(chunk));
    out.end(played);
    await playUntil(guest, once(out, 'close'));
    input.finish();
    await guest.machine.settle();
    const heard = Buffer.concat(chunks);
    expect(Buffer.from(guest.device.heard()).equals(played)).toBe(true);
    expect(heard.length).toBe(input.position * input.frameBytes);
    expect(input.position).toBeGreaterThanOrEqual(2000);
    expect(heard.subarray(0, said.length).equals(said)).toBe(true);
    expect([out.position, out.underruns, input.overruns]).toEqual([2345, 0, 0]);
    await card.close();
  });
});

describe.each(WITHOUT_FRAMES)('%s', (format) => {
  const refused = (allowed: string) =>
    expect.objectContaining({
      code: 'ERR_VSND_INVALID_ARG',
      option: 'format',
      message: `format is "${format}"; it has no frames of a fixed size, which positions and buffers count in; allowed: ${allowed}`,
    });

  test.each([
    ['a card that lists it', ALL.join(','), WITH_FRAMES.join(', ')],
    ['a card that does not', 's16_le,u8', 's16_le, u8'],
    ['a card that lists nothing else', format, 'none'],
  ])('is refused with the reason: %s', async (_, formats, allowed) => {
    const { guest, card } = await startCard({ capture: true, fields: { 'sample-formats': formats } });
    expect(() => card.createPlaybackStream({ ...SPEC, format })).toThrow(refused(allowed));
    expect(() => card.createCaptureStream({ ...SPEC, format })).toThrow(refused(allowed));
    expect(card.streams).toEqual([]);
    await guest.machine.settle();
    await card.close();
  });
});

test('one that sndif.h does not have is refused without that reason', async () => {
  const { card } = await startCard({ capture: true, fields: { 'sample-formats': 's16_le,gsm' } });
  for (const format of ['mp3', 'S16_LE', '__proto__', '']) {
    expect(() => card.createCaptureStream({ ...SPEC, format: format as PcmFormatName })).toThrow(
      expect.objectContaining({ message: `format is "${format}"; allowed: s16_le` }),
    );
  }
  await card.close();
});

test.each([
  ['f32_le', 'float_le'],
  ['f32_be', 'float_be'],
  ['f64_le', 'float64_le'],
  ['f64_be', 'float64_be'],
] as const)('libxl’s name %s means %s, in XenStore and here', async (alias, format) => {
  const { card } = await startCard({ capture: true, fields: { 'sample-formats': alias } });
  expect(card.createCaptureStream({ ...SPEC, format: alias }).format).toBe(format);
  expect(card.createPlaybackStream({ ...SPEC, format }).format).toBe(format);
  await card.close();
});

describe.each(['iec958_subframe_le', 'iec958_subframe_be'] as const)('%s', (format) => {
  test('counts subframes of 4 bytes, as ALSA does; they are passed on as they are', async () => {
    const { card } = await startCard({ capture: true });
    const input = card.createCaptureStream({ ...SPEC, format });
    expect(input.frameBytes).toBe(8);
    await card.close();
  });

  test('has no volume: it may hold compressed sound', async () => {
    const { card } = await startCard({ capture: true });
    const unsupported = { code: 'ERR_VSND_NOT_SUPPORTED' };
    const software = { ...SPEC, format, softwareVolume: true };
    expect(() => card.createPlaybackStream(software)).toThrow(expect.objectContaining(unsupported));
    expect(() => card.createCaptureStream(software)).toThrow(expect.objectContaining(unsupported));
    const input = card.createCaptureStream({ ...SPEC, format });
    await expect(input.setVolume(-3)).rejects.toMatchObject(unsupported);
    await card.close();
  });
});
