import { describe, expect, test } from 'vitest';
import { Gain } from '../../src/pcm/gain.ts';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { decodeVolumes, encodeMutes, encodeVolumes } from '../../src/wire/volume.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, type RawBuffer, type RawChannel } from './raw-frontend.ts';
import { CAPTURE, useWorlds, type WorldOptions } from './world.ts';

const startWorld = useWorlds();

const { EINVAL, EBADFD, EOPNOTSUPP, ERANGE } = XenErrno;

/** A part of the buffer that is not used for sound. */
const CONTROL = BUFFER_BYTES - 64;
const AUDIO_BYTES = 4096;

async function openStream(options?: WorldOptions, changes = {}) {
  const world = await startWorld(options);
  return { world, ...(await world.openStream(changes)) };
}

async function setVolumes(channel: RawChannel, buffer: RawBuffer, ...volumes: number[]): Promise<number> {
  buffer.put(CONTROL, encodeVolumes(volumes));
  return await channel.status({ op: 'setVolume', offset: CONTROL, length: 4 * volumes.length });
}

async function getVolumes(channel: RawChannel, buffer: RawBuffer, offset = CONTROL): Promise<number[]> {
  expect(await channel.status({ op: 'getVolume', offset, length: 8 })).toBe(0);
  return decodeVolumes(buffer.read(offset, 8));
}

async function mute(
  channel: RawChannel,
  buffer: RawBuffer,
  op: 'mute' | 'unmute',
  ...meant: boolean[]
): Promise<number> {
  buffer.put(CONTROL, encodeMutes(meant));
  return await channel.status({ op, offset: CONTROL, length: meant.length });
}

describe('volume', () => {
  test('is 0 dB after OPEN, and what was set, to a thousandth, until CLOSE', async () => {
    const { channel, buffer } = await openStream();
    expect(await getVolumes(channel, buffer)).toEqual([0, 0]);
    expect(await setVolumes(channel, buffer, -6.021, 24)).toBe(0);
    expect(await getVolumes(channel, buffer)).toEqual([-6.021, 24]);
    await channel.trigger('start');
    await channel.trigger('stop');
    expect(await getVolumes(channel, buffer)).toEqual([-6.021, 24]);
    await channel.close();
    expect(await channel.status({ op: 'getVolume', offset: CONTROL, length: 8 })).toBe(-EBADFD);
    await channel.open(buffer);
    expect(await getVolumes(channel, buffer)).toEqual([0, 0]);
  });

  test('goes through any place in the buffer, and touches nothing else', async () => {
    const { channel, buffer } = await openStream();
    for (const offset of [0, 1, 4093, BUFFER_BYTES - 8]) {
      const before = noise(BUFFER_BYTES, offset + 1);
      buffer.put(0, before);
      expect(await getVolumes(channel, buffer, offset)).toEqual([0, 0]);
      before.set(new Uint8Array(8), offset);
      expect(Buffer.compare(buffer.read(0, BUFFER_BYTES), before)).toBe(0);
    }
  });

  test('below what can be heard is the least that there is', async () => {
    const { channel, buffer } = await openStream();
    expect(await setVolumes(channel, buffer, -144.001, Number.NEGATIVE_INFINITY)).toBe(0);
    expect(await getVolumes(channel, buffer)).toEqual([-144, -144]);
  });

  test('above the most that there is is refused, and changes nothing', async () => {
    const { world, channel, buffer } = await openStream();
    await setVolumes(channel, buffer, -3, -3);
    world.takeLog();
    expect(await setVolumes(channel, buffer, 0, 24.001)).toBe(-ERANGE);
    expect(world.takeLog().join()).toContain('SET_VOLUME refused: a volume of 24.001 dB; allowed: up to 24');
    expect(await getVolumes(channel, buffer)).toEqual([-3, -3]);
  });

  test.each([
    ['setVolume', 0, 4],
    ['setVolume', 0, 0],
    ['setVolume', 0, 12],
    ['getVolume', 0, 7],
    ['getVolume', BUFFER_BYTES - 7, 8],
    ['setVolume', 0xffff_ffff, 8],
    ['mute', 0, 1],
    ['mute', 0, 8],
    ['unmute', BUFFER_BYTES - 1, 2],
    ['mute', 0, 0xffff_ffff],
  ] as const)('%s of %i bytes is refused at %i', async (op, offset, length) => {
    const { channel, buffer } = await openStream();
    const before = noise(BUFFER_BYTES);
    buffer.put(0, before);
    expect(await channel.status({ op, offset, length })).toBe(-EINVAL);
    expect(Buffer.compare(buffer.read(0, BUFFER_BYTES), before)).toBe(0);
    buffer.put(0, new Uint8Array(64));
    expect(await getVolumes(channel, buffer)).toEqual([0, 0]);
  });

  test('cannot be behind the end of a buffer that ends within a page', async () => {
    const { channel } = await openStream({}, { bufferBytes: 8000 });
    expect(await channel.status({ op: 'getVolume', offset: 7992, length: 8 })).toBe(0);
    expect(await channel.status({ op: 'getVolume', offset: 7996, length: 8 })).toBe(-EINVAL);
    expect(await channel.status({ op: 'mute', offset: 7999, length: 2 })).toBe(-EINVAL);
  });

  test('may be set and asked for with the buffer full, paused, running dry and before START', async () => {
    const { world, channel, buffer } = await openStream();
    await channel.write(0, BUFFER_BYTES);
    expect(await setVolumes(channel, buffer, -1, -1)).toBe(0);
    await channel.trigger('start');
    await channel.trigger('pause');
    expect(await setVolumes(channel, buffer, -2, -2)).toBe(0);
    expect(await getVolumes(channel, buffer)).toEqual([-2, -2]);
    await channel.trigger('resume');
    await world.clock.advance(5000);
    expect(await setVolumes(channel, buffer, -3, -3)).toBe(0);
    expect(await getVolumes(channel, buffer)).toEqual([-3, -3]);
  });

  test('of a format without samples cannot be changed', async () => {
    const format = pcmFormat('iec958_subframe_le').code;
    const { channel, buffer } = await openStream({}, { format });
    for (const op of ['setVolume', 'getVolume', 'mute', 'unmute'] as const) {
      expect(await channel.status({ op, offset: 0, length: 8 })).toBe(-EOPNOTSUPP);
    }
    expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
    expect(buffer.read(0, 8)).toEqual(new Uint8Array(8));
  });
});

describe('mute', () => {
  const FRAMES = AUDIO_BYTES / 4;

  /** Plays `AUDIO_BYTES` of full-scale samples, and says how loud each channel was at the end. */
  async function loudness(world: Awaited<ReturnType<typeof openStream>>['world'], channel: RawChannel) {
    expect(await channel.write(0, AUDIO_BYTES)).toBe(0);
    await world.clock.advance(FRAMES);
    const heard = Buffer.from(world.device.heard());
    return [heard.readInt16LE(heard.length - 4), heard.readInt16LE(heard.length - 2)];
  }

  test('and unmute concern the channels that are named, and leave the volume alone', async () => {
    const { world, channel, buffer } = await openStream();
    for (let at = 0; at < AUDIO_BYTES; at += 2) buffer.put(at, Uint8Array.of(0, 0x40));
    await channel.trigger('start');
    await setVolumes(channel, buffer, 0, -20);
    expect(await loudness(world, channel)).toEqual([0x4000, 1638]);
    expect(await mute(channel, buffer, 'mute', true, false)).toBe(0);
    expect(await loudness(world, channel)).toEqual([0, 1638]);
    expect(await mute(channel, buffer, 'mute', false, true)).toBe(0);
    expect(await loudness(world, channel)).toEqual([0, 0]);
    expect(await mute(channel, buffer, 'unmute', true, false)).toBe(0);
    expect(await loudness(world, channel)).toEqual([0x4000, 0]);
    expect(await getVolumes(channel, buffer)).toEqual([0, -20]);
  });

  test('takes any byte but 0 for yes', async () => {
    const { world, channel, buffer } = await openStream();
    for (let at = 0; at < AUDIO_BYTES; at += 2) buffer.put(at, Uint8Array.of(0, 0x40));
    await channel.trigger('start');
    buffer.put(CONTROL, Uint8Array.of(0x80, 0));
    expect(await channel.status({ op: 'mute', offset: CONTROL, length: 2 })).toBe(0);
    expect(await loudness(world, channel)).toEqual([0, 0x4000]);
  });
});

describe.each<[PcmFormatName, number]>([
  ['s16_le', 2],
  ['s24_le', 2],
  ['float_be', 1],
  ['u8', 4],
])('%s of %i channels', (format, channels) => {
  const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
  const changes = { format: pcmFormat(format).code, channels, periodBytes: 64 * frameBytes };
  const volumes = Array.from({ length: channels }, (_, channel) => -3 - channel);
  const sound = () => {
    const bytes = noise(512 * frameBytes);
    if (format === 'float_be') for (let at = 0; at < bytes.length; at += 4) bytes.set([0x3e, 0x80], at);
    if (format === 's24_le')
      for (let at = 0; at < bytes.length; at += 4) bytes[at + 3] = (bytes[at + 2] ?? 0) & 0x80 ? 0xff : 0;
    return bytes;
  };
  /** What a gain makes of the first half at 0 dB and the second at `volumes`. */
  const scaled = (bytes: Uint8Array) => {
    const gain = new Gain({ format, channels, rate: 48_000 });
    const half = bytes.length / 2;
    const first = gain.apply(bytes.subarray(0, half));
    gain.setVolumes(volumes);
    return Buffer.concat([first, gain.apply(bytes.subarray(half))]);
  };

  test('is played as loud as it shall be, from the frame on that is next', async () => {
    const { world, channel, buffer } = await openStream({}, changes);
    const bytes = sound();
    buffer.put(0, bytes);
    await channel.write(0, bytes.length);
    await channel.trigger('start');
    await world.clock.advance(256);
    expect(await setVolumes(channel, buffer, ...volumes)).toBe(0);
    await world.clock.advance(256);
    expect(Buffer.compare(world.device.heard(), scaled(bytes))).toBe(0);
  });

  test('is captured as loud as it shall be, from the frame on that is next', async () => {
    const { world, channel, buffer } = await openStream({ pcmDevices: [{ streams: [CAPTURE] }] }, changes);
    const bytes = sound();
    world.device.say(bytes);
    await channel.trigger('start');
    await world.clock.advance(256);
    expect(await setVolumes(channel, buffer, ...volumes)).toBe(0);
    await world.clock.advance(256);
    expect(await channel.read(0, bytes.length)).toBe(0);
    expect(Buffer.compare(buffer.read(0, bytes.length), scaled(bytes))).toBe(0);
  });
});

test('at 0 dB sound is left as it is, to the bit', async () => {
  const { world, channel, buffer } = await openStream();
  buffer.put(0, noise(AUDIO_BYTES));
  await channel.write(0, AUDIO_BYTES);
  await setVolumes(channel, buffer, -6, -6);
  await setVolumes(channel, buffer, 0, 0);
  await channel.trigger('start');
  await world.clock.advance(AUDIO_BYTES / 4);
  expect(world.device.heard()).toEqual(Buffer.from(noise(AUDIO_BYTES)));
});
