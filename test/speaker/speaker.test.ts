import { type EventEmitter, once } from 'node:events';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import type { Card } from '../../src/frontend/card.ts';
import Speaker from '../../src/speaker.ts';
import type { TestGuest } from '../../src/testing.ts';
import { closing, playUntil, startCard } from '../frontend/setup.ts';
import { noise } from '../sound.ts';

const PLAYBACK = { fields: { type: 'p' } };

/** Every event that `speaker` has, as it comes. */
function eventsOf(speaker: EventEmitter): string[] {
  const seen: string[] = [];
  for (const event of ['open', 'flush', 'finish', 'error', 'close'])
    speaker.on(event, () => seen.push(event));
  return seen;
}

/** Stereo, half scale, packed 24 bits. */
function packedSine(frames: number): Buffer {
  const bytes = Buffer.alloc(frames * 6);
  for (let frame = 0; frame < frames; frame++) {
    const sample = Math.round(2 ** 22 * Math.sin(frame / 20));
    bytes.writeIntLE(sample, frame * 6, 3);
    bytes.writeIntLE(sample, frame * 6 + 3, 3);
  }
  return bytes;
}

const ended = (speaker: Speaker) => once(speaker, 'close');

async function withCard(
  body: (card: Card, guest: TestGuest) => Promise<void>,
  options?: Parameters<typeof startCard>[0],
): Promise<void> {
  const { guest, card } = await startCard(options);
  await body(card, guest);
  await card.close();
}

/** Plays `bytes` to the end, and returns what was heard. */
async function hear(guest: TestGuest, speaker: Speaker, bytes: Buffer): Promise<Buffer> {
  const closed = ended(speaker);
  speaker.end(bytes);
  await playUntil(guest, closed);
  return Buffer.from(guest.device.heard());
}

describe('what is played', () => {
  test.each<[Speaker.Format, string, number, number]>([
    [{}, 's16_le', 44_100, 2],
    [{ bitDepth: 8 }, 'u8', 44_100, 2],
    [{ bitDepth: 8, signed: true, channels: 1, sampleRate: 8000 }, 's8', 8000, 1],
    [{ signed: false, sampleRate: 48_000 }, 'u16_le', 48_000, 2],
    [{ bitDepth: 32 }, 's32_le', 44_100, 2],
    [{ bitDepth: 32, signed: false }, 'u32_le', 44_100, 2],
    [{ float: true, channels: 6 }, 'float_le', 44_100, 6],
    [{ float: true, bitDepth: 64 }, 'float64_le', 44_100, 2],
  ])('of %j is %s, %i Hz, %i channels, every byte of it', async (options, format, rate, channels) => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ ...options, card });
      const bytes = noise(channels * 8 * 3000);
      speaker.once('open', () => expect(card.streams[0]).toMatchObject({ format, rate, channels }));
      expect((await hear(guest, speaker, bytes)).equals(bytes)).toBe(true);
      expect(speaker).toMatchObject({ channels, sampleRate: rate });
    });
  });

  test.each([true, false])('of packed 24 bits, signed: %s, goes as 4 bytes a sample', async (signed) => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ bitDepth: 24, channels: 1, signed, card });
      speaker.once('open', () => expect(card.streams[0]?.format).toBe(signed ? 's24_le' : 'u24_le'));
      const packed = noise(3 * 1000);
      const heard = await hear(guest, speaker, packed);
      expect(heard.length).toBe(4 * 1000);
      expect(Buffer.from(heard.filter((_, at) => at % 4 !== 3)).equals(packed)).toBe(true);
      expect(speaker.blockAlign).toBe(3);
    });
  });

  test.each([[{}], [{ bitDepth: 24 }]])('of %j does not depend on where chunks end', async (options) => {
    await withCard(async (card, guest) => {
      const bytes = noise(12_000);
      const whole = await hear(guest, new Speaker({ ...options, card }), bytes);
      const speaker = new Speaker({ ...options, card });
      for (let at = 0; at < bytes.length; at += 1001) speaker.write(bytes.subarray(at, at + 1001));
      expect((await hear(guest, speaker, Buffer.alloc(0))).equals(whole)).toBe(true);
    });
  });

  test('ends at the last whole frame, with a warning', async () => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ card });
      const warned = once(speaker, 'warning');
      expect((await hear(guest, speaker, noise(4003))).length).toBe(4000);
      expect((await warned)[0]).toMatchObject({ code: 'VSND_PARTIAL_FRAME' });
    });
  });

  test.each<[string, Speaker.Options, Record<string, string>, number]>([
    ['format', { bitDepth: 24 }, { 'sample-formats': 's32_le' }, 8 * 30_000],
    ['channels', { bitDepth: 24 }, { 'channels-max': '1' }, 4 * 30_000],
    ['rate', { bitDepth: 24 }, { 'sample-rates': '48000' }, 8 * Math.round((30_000 * 48_000) / 44_100)],
  ])('is converted where the card has another %s', async (name, options, fields, length) => {
    await withCard(
      async (card, guest) => {
        const speaker = new Speaker({ ...options, card });
        const warnings: unknown[] = [];
        speaker.on('warning', (warning) => warnings.push(warning));
        const heard = await hear(guest, speaker, packedSine(30_000));
        expect(heard.length).toBe(length);
        expect(warnings).toEqual([]);
        const bits = name === 'format' ? 31 : 23;
        const peak =
          Math.max(...new Int32Array(heard.buffer, heard.byteOffset, heard.length / 4)) / 2 ** bits;
        expect(peak).toBeGreaterThan(0.49);
        expect(peak).toBeLessThan(0.51);
      },
      { fields },
    );
  });

  test.each([
    [{ channels: 0 }, 'channels is 0; allowed: a whole number from 1 to 255'],
    [{ sampleRate: Number.NaN }, 'sampleRate is NaN; allowed: a whole number from 1 to 768000'],
    [{ sampleRate: 100 }, '100 Hz cannot be converted to 48000 Hz: more than a factor of 256'],
  ])('cannot be %j: an error that says what is allowed', async (options, message) => {
    await withCard(
      async (card) => {
        const speaker = new Speaker({ ...options, card });
        speaker.write(noise(4));
        expect((await closing(speaker))?.message).toBe(message);
        expect(card.streams).toEqual([]);
      },
      { fields: { 'sample-rates': '48000' } },
    );
  });
});

describe('options and properties', () => {
  test('are those of speaker before and after the first write', async () => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ card });
      const none = { channels: undefined, bitDepth: undefined, sampleRate: undefined, signed: undefined };
      expect(speaker).toMatchObject({
        ...none,
        samplesPerFrame: 1024,
        endianness: 'LE',
        writableHighWaterMark: 0,
      });
      speaker.channels = 1;
      await hear(guest, speaker, noise(100));
      expect(speaker).toMatchObject({
        channels: 1,
        bitDepth: 16,
        sampleRate: 44_100,
        signed: true,
        blockAlign: 2,
      });
    });
  });

  test('are left as they are: the same object makes two speakers', () => {
    const options = Object.freeze({ channels: 1 });
    expect([new Speaker(options).channels, new Speaker(options).channels]).toEqual([1, 1]);
  });

  test.each([
    [{ bitDepth: 16, signed: true }, 0xd0],
    [{ bitDepth: 32, float: true, signed: true }, 0x200],
    [{ bitDepth: 24, signed: false }, 0x6000],
    [{ bitDepth: 31, signed: true }, null],
    [{ bitDepth: 64, signed: true }, null],
  ])('getFormat(%j) is %s, as in mpg123.h', (format, code) => {
    expect(Speaker.getFormat(format)).toBe(code);
    expect(Speaker.isSupported(format)).toBe(code !== null);
    if (code !== null) expect(Speaker.isSupported(code)).toBe(true);
  });

  test('a number that is no format is not supported', () => {
    expect(Speaker.isSupported(0x10000)).toBe(false);
  });

  test('device: hw:CARD,DEVICE is a PCM device of the card', async () => {
    await withCard(
      async (card, guest) => {
        const speaker = new Speaker({ card, device: 'hw:0,1' });
        speaker.once('open', () => expect(card.streams[0]?.device).toBe(1));
        await hear(guest, speaker, noise(400));
      },
      { pcmDevices: [{ streams: [PLAYBACK] }, { streams: [PLAYBACK] }] },
    );
  });

  test('device: one that the card lacks is an error, one that means nothing a warning', async () => {
    await withCard(async (card, guest) => {
      const lost = new Speaker({ card, device: 'plughw:0,4' });
      lost.write(noise(4));
      expect((await closing(lost))?.message).toBe('device is 4; allowed: 0');
      const speaker = new Speaker({ card, device: 'sysdefault' });
      const warned = once(speaker, 'warning');
      await hear(guest, speaker, noise(400));
      expect((await warned)[0]).toMatchObject({ code: 'VSND_DEVICE_UNKNOWN' });
    });
  });

  test('card: anything but a Card throws', () => {
    expect(() => new Speaker({ card: 0 as unknown as Card })).toThrow('card is 0; allowed: a Card');
  });

  test('signal: aborting it destroys the speaker', async () => {
    await withCard(async (card) => {
      const abort = new AbortController();
      const speaker = new Speaker({ card, signal: abort.signal });
      speaker.write(noise(400));
      const error = closing(speaker);
      abort.abort();
      expect(await error).toMatchObject({ name: 'AbortError' });
    });
  });
});

describe('a stream that is piped here', () => {
  test('brings its format along, by its properties and by its "format" event', async () => {
    await withCard(async (card, guest) => {
      const decoder = Object.assign(new PassThrough(), { channels: 1, sampleRate: 48_000 });
      const speaker = decoder.pipe(new Speaker({ card }));
      expect(speaker).toMatchObject({ channels: 1, sampleRate: 48_000 });
      decoder.emit('format', { channels: 2, bitDepth: 8 });
      expect(speaker).toMatchObject({ channels: 2, bitDepth: 8 });
      const closed = ended(speaker);
      decoder.end(noise(4000));
      speaker.once('open', () =>
        expect(card.streams[0]).toMatchObject({ format: 'u8', channels: 2, rate: 48_000 }),
      );
      await playUntil(guest, closed);
      expect(Buffer.from(guest.device.heard()).equals(noise(4000))).toBe(true);
    });
  });

  test('is no longer listened to when it is unpiped', () => {
    const decoder = new PassThrough();
    const speaker = decoder.pipe(new Speaker());
    decoder.unpipe(speaker);
    decoder.emit('format', { channels: 1 });
    expect(speaker.channels).toBeUndefined();
  });

  test('cannot change the format any more after the first write: a warning', async () => {
    await withCard(async (card, guest) => {
      const decoder = new PassThrough();
      const speaker = decoder.pipe(new Speaker({ card }));
      const warned = once(speaker, 'warning');
      const closed = ended(speaker);
      decoder.write(noise(400));
      await once(speaker, 'open');
      decoder.emit('format', { channels: 1 });
      decoder.end();
      await playUntil(guest, closed);
      expect((await warned)[0]).toMatchObject({ code: 'VSND_FORMAT_LATE' });
      expect(speaker.channels).toBe(2);
    });
  });

  test('in the other byte order destroys the speaker', async () => {
    const speaker = new PassThrough().pipe(new Speaker());
    const error = closing(speaker);
    Object.assign(new PassThrough(), { endianness: 'BE' }).pipe(speaker);
    expect((await error)?.message).toBe('only native endianness ("LE") is supported, got "BE"');
  });

  test('goes on piping nowhere when the speaker is closed', async () => {
    await withCard(async (card, guest) => {
      const decoder = new PassThrough();
      const speaker = decoder.pipe(new Speaker({ card }));
      const events = eventsOf(speaker);
      const closed = ended(speaker);
      decoder.write(noise(4000));
      await once(speaker, 'open');
      speaker.close(false);
      decoder.write(noise(4000));
      await playUntil(guest, closed);
      expect(events).toEqual(['open', 'flush', 'finish', 'close']);
    });
  });
});

describe('the end', () => {
  test('"flush" means played; each event comes once, in speaker\'s order', async () => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ card });
      const events = eventsOf(speaker);
      speaker.once('flush', () => expect(guest.device.heard().length).toBe(100_000));
      await hear(guest, speaker, noise(100_000));
      expect(events).toEqual(['open', 'flush', 'finish', 'close']);
    });
  });

  test('without a write: nothing is opened', async () => {
    const speaker = new Speaker();
    const events = eventsOf(speaker);
    speaker.end();
    await ended(speaker);
    expect(events).toEqual(['flush', 'finish', 'close']);
  });

  test('pipeline() resolves when all has been played and the stream is free again', async () => {
    await withCard(async (card, guest) => {
      for (let track = 0; track < 3; track++) {
        const bytes = noise(20_000, track);
        await playUntil(guest, pipeline([bytes], new Speaker({ card })));
        expect(Buffer.from(guest.device.heard()).equals(bytes)).toBe(true);
      }
    });
  });

  test('close() throws away what has not been played, closes once, and fails what is still being written', async () => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ card });
      const events = eventsOf(speaker);
      const failed = new Promise((resolve) => speaker.write(noise(1_000_000), resolve));
      await guest.clock.advance(48_000);
      speaker.close();
      speaker.close();
      expect(events).toEqual(['open']);
      const closed = ended(speaker);
      await guest.machine.settle();
      await closed;
      expect(await failed).toBeInstanceOf(Error);
      expect(guest.device.heard().length).toBeLessThan(300_000);
      expect(events).toEqual(['open', 'close']);
      expect(card.streams).toEqual([]);
    });
  });

  test('close(false) plays all that was written', async () => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ card });
      const bytes = noise(200_000);
      const closed = ended(speaker);
      speaker.write(bytes);
      speaker.close(false);
      await playUntil(guest, closed);
      expect(Buffer.from(guest.device.heard()).equals(bytes)).toBe(true);
    });
  });

  test('destroy() gives the stream back, also while it opens', async () => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ card });
      const events = eventsOf(speaker);
      speaker.write(noise(400), () => {});
      const closed = ended(speaker.destroy());
      await guest.machine.settle();
      await closed;
      expect(events).toEqual(['close']);
      expect(card.streams).toEqual([]);
    });
  });

  test.each(['at once', 'while it plays'])(
    'destroy() %s: each write that waits is told ABORT_ERR',
    async (when) => {
      const { guest, card } = await startCard();
      const speaker = new Speaker({ card });
      const told = Array.from(
        { length: 3 },
        () => new Promise((resolve) => speaker.write(noise(400_000), resolve)),
      );
      if (when === 'while it plays') await guest.clock.advance(4800);
      const closed = ended(speaker.destroy());
      await guest.machine.settle();
      await closed;
      const aborted = expect.objectContaining({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(await Promise.all(told)).toEqual([aborted, aborted, aborted]);
      await card.close();
    },
  );

  test('destroy(error): each write that waits is told that error', async () => {
    await withCard(async (card, guest) => {
      const speaker = new Speaker({ card });
      const told = new Promise((resolve) => speaker.write(noise(400_000), resolve));
      const error = closing(speaker);
      const reason = new Error('enough');
      speaker.destroy(reason);
      await guest.machine.settle();
      expect([await error, await told]).toEqual([reason, reason]);
    });
  });

  test('one that is closed makes room at once for the next: skipping to another track', async () => {
    await withCard(async (card, guest) => {
      const skipped = new Speaker({ card });
      skipped.write(noise(400_000), () => {});
      await guest.clock.advance(4800);
      skipped.close();
      const next = new Speaker({ card });
      const bytes = noise(8000, 2);
      expect((await hear(guest, next, bytes)).equals(bytes)).toBe(true);
    });
  });

  test('a backend that dies is an error with a code, then one "close"', async () => {
    const { guest, card } = await startCard();
    const speaker = new Speaker({ card });
    const events = eventsOf(speaker);
    speaker.write(noise(400_000), () => {});
    await guest.clock.advance(4800);
    const error = closing(speaker);
    await guest.backend.close();
    expect(await error).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
    expect(events).toEqual(['open', 'error', 'close']);
    const leaving = card.close();
    await guest.clock.advanceTime(3e9); // where there is no backend, one may still come
    await leaving;
  });
});

describe('several speakers on one card', () => {
  test('take different streams; one too many gets a clear error', async () => {
    await withCard(
      async (card, guest) => {
        const speakers = [new Speaker({ card }), new Speaker({ card })];
        const opened = speakers.map((speaker) => once(speaker, 'open'));
        for (const speaker of speakers) speaker.write(noise(4000));
        await Promise.all(opened);
        expect(card.streams.map(({ device, stream }) => [device, stream])).toEqual([
          [0, 0],
          [1, 0],
        ]);
        const third = new Speaker({ card });
        third.write(noise(4));
        expect(await closing(third)).toMatchObject({
          code: 'ERR_VSND_NO_STREAM',
          message: 'every playback stream of the card that fits is in use',
        });
        const closed = speakers.map(ended);
        for (const speaker of speakers) speaker.end();
        await playUntil(guest, Promise.all(closed));
      },
      { pcmDevices: [{ streams: [PLAYBACK] }, { streams: [PLAYBACK] }] },
    );
  });
});
