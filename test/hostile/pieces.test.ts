import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { memoryDevice } from '../../src/backend/devices.ts';
import { WritableVoice } from '../../src/backend/writable-voice.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { CAPTURE, PLAYBACK, useWorlds } from '../backend/world.ts';

const createWorld = useWorlds();

/** Bytes: what is scaled, or made, in one go keeps everybody waiting. */
const PIECE = 65_536;

const RATE = 48_000;
const BUFFER = 1 << 20;

describe('a period of a whole buffer', () => {
  test.each([
    ['played', PLAYBACK],
    ['captured', CAPTURE],
  ])('is %s in pieces, and told in one', async (_, stream) => {
    const pieces: number[] = [];
    const world = await createWorld({
      fields: { 'buffer-size': String(BUFFER) },
      pcmDevices: [{ streams: [stream] }],
      device: (clock) => {
        const device = memoryDevice(clock);
        return {
          ...device,
          openPlayback: (params, feed) =>
            device.openPlayback(params, {
              get available() {
                return feed.available;
              },
              take: (most) => {
                const bytes = feed.take(most);
                pieces.push(bytes.length);
                return bytes;
              },
              played: (bytes) => feed.played(bytes),
              dry: () => feed.dry(),
              failed: (error) => feed.failed(error),
            }),
          openCapture: (params, feed) =>
            device.openCapture(params, {
              captured: (bytes) => {
                pieces.push(bytes.length);
                feed.captured(bytes);
              },
              failed: (error) => feed.failed(error),
            }),
        };
      },
    });
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(BUFFER);
    const format = pcmFormat('a_law').code;
    const spec = { rate: RATE, channels: 8, format, bufferBytes: BUFFER, periodBytes: BUFFER };
    expect(await channel.open(buffer, spec)).toBe(0);
    if (stream === PLAYBACK) expect(await channel.write(0, BUFFER)).toBe(0);
    expect(await channel.trigger('start')).toBe(0);
    await world.clock.advance(BUFFER / 8);
    expect(channel.takePositions()).toEqual([BUFFER]);
    expect(pieces.reduce((sum, piece) => sum + piece, 0)).toBe(BUFFER);
    expect(Math.max(...pieces)).toBeLessThanOrEqual(PIECE);
  });

  test('is given to a program in pieces', () => {
    const written: number[] = [];
    const writable = new Writable({
      write: (piece: Buffer, _, callback) => {
        written.push(piece.length);
        callback();
      },
    });
    let available = BUFFER;
    const bytes = new Uint8Array(BUFFER);
    const feed = {
      get available() {
        return available;
      },
      take: (most: number) => {
        const length = Math.min(most, available);
        available -= length;
        return bytes.subarray(0, length);
      },
      ...{ played: () => {}, dry: () => {}, failed: () => {} },
    };
    const params = { rate: RATE, channels: 8, format: 'a_law', frameBytes: 8, periodBytes: BUFFER } as const;
    new WritableVoice(params, feed, writable, (piece) => piece).start();
    expect(written[0]).toBe(PIECE);
  });
});
