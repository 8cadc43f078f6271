import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import type { StreamWarning } from '../../src/frontend/stream-events.ts';
import type { BufferRequest, SndifRequest } from '../../src/wire/sndif.ts';
import { FRAME, noise, STEREO } from '../sound.ts';
import type { RawBackend } from './raw-backend.ts';
import { closing, playUntil, type RawCard, staged, startCard, withRawCard } from './setup.ts';

const BUFFER = 1000;
const FORMAT = {
  ...STEREO,
  bufferFrames: BUFFER,
  periodFrames: 100,
} as const;
/** Bytes of the audio area; the control area begins at the next multiple of 64. */
const AUDIO = BUFFER * FRAME;
const CONTROL = 4000;

const isVolume = (request: SndifRequest | undefined): request is BufferRequest =>
  request !== undefined && ['getVolume', 'setVolume', 'mute', 'unmute'].includes(request.op);

/** A backend with a volume: keeps what it was told, and gives it when it is asked; takes note of each request. */
function withVolume(backend: RawBackend): { told: string[] } {
  const told: string[] = [];
  let volumes: Uint8Array = new Uint8Array(8);
  backend.answer = (request) => {
    if (!isVolume(request)) return {};
    const bytes = backend.readBuffer(request.offset, request.length);
    told.push(request.op === 'getVolume' ? 'getVolume' : `${request.op} ${bytes.toString('hex')}`);
    if (request.op === 'setVolume') volumes = bytes;
    if (request.op === 'getVolume') backend.writeBuffer(request.offset, volumes);
    return {};
  };
  return { told };
}

async function openStream({ card, machine }: RawCard, options = {}): Promise<PlaybackStream> {
  const out = card.createPlaybackStream({ ...FORMAT, ...options });
  await once(out, 'open');
  await machine.settle();
  return out;
}

describe('the backend’s volume', () => {
  test('goes through the control area, and leaves the audio area as it is: full, and paused', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const { told } = withVolume(backend);
      const out = await openStream(raw);
      out.write(noise(5000 * FRAME));
      await machine.settle();
      await out.trigger('pause');
      const audio = backend.readBuffer(0, AUDIO);
      expect(await out.getVolume()).toEqual([0, 0]);
      await out.setVolume([-6.021, 3]);
      expect(await out.getVolume()).toEqual([-6.021, 3]);
      await out.mute([1]);
      await out.unmute();
      expect(told).toEqual([
        'getVolume',
        `setVolume ${Buffer.from(Int32Array.of(-6021, 3000).buffer).toString('hex')}`,
        'getVolume',
        'mute 0001',
        'unmute 0101',
      ]);
      const asked = backend.requests.map(({ request }) => request).filter(isVolume);
      expect(asked.map(({ offset, length }) => [offset, length])).toEqual([
        [CONTROL, 8],
        [CONTROL, 8],
        [CONTROL, 8],
        [CONTROL, 2],
        [CONTROL, 2],
      ]);
      expect(backend.readBuffer(0, AUDIO).equals(audio)).toBe(true);
      expect([out.state, out.latency]).toEqual(['paused', BUFFER + staged(4000)]);
    }));

  test('one number is for all channels, in steps of 0.001 dB', () =>
    withRawCard('p', async (raw) => {
      const { told } = withVolume(raw.backend);
      const out = await openStream(raw);
      await out.setVolume(-1.2344);
      expect(await out.getVolume()).toEqual([-1.234, -1.234]);
      await out.setVolume(0.0006);
      expect(await out.getVolume()).toEqual([0.001, 0.001]);
      await out.setVolume([-144, 24]);
      expect(await out.getVolume()).toEqual([-144, 24]);
      expect(told).toHaveLength(6);
    }));

  test('any volume that has been set is the one that is given, to a thousandth', () =>
    withRawCard('p', async (raw) => {
      withVolume(raw.backend);
      const out = await openStream(raw);
      const steps = fc.integer({ min: -144_000, max: 24_000 });
      await fc.assert(
        fc.asyncProperty(steps, steps, async (left, right) => {
          await out.setVolume([left / 1000, right / 1000]);
          expect(await out.getVolume()).toEqual([left / 1000, right / 1000]);
        }),
        { numRuns: 50 },
      );
    }));

  test('calls at the same time do not mix: there is one control area', () =>
    withRawCard('p', async (raw) => {
      const { backend } = raw;
      const { told } = withVolume(backend);
      const out = await openStream(raw);
      const letGo = backend.holdRequests();
      const all = Promise.all([
        out.setVolume([1, 2]),
        out.getVolume(),
        out.setVolume([3, 4]),
        out.mute([0]),
        out.getVolume(),
      ]);
      await raw.machine.settle();
      letGo();
      expect(await all).toEqual([undefined, [1, 2], undefined, undefined, [3, 4]]);
      expect(told.map((line) => line.split(' ')[0])).toEqual([
        'setVolume',
        'getVolume',
        'setVolume',
        'mute',
        'getVolume',
      ]);
    }));

  test('one that is refused does not keep those behind it from being carried out', () =>
    withRawCard('p', async (raw) => {
      const { backend } = raw;
      const out = await openStream(raw);
      backend.answer = (request) => (request?.op === 'setVolume' ? { status: -5 } : {});
      const [refused, muted] = await Promise.allSettled([out.setVolume(0), out.mute()]);
      expect(refused).toMatchObject({
        status: 'rejected',
        reason: { code: 'ERR_VSND_STATUS', errno: 'EIO' },
      });
      expect(muted.status).toBe('fulfilled');
    }));

  test.each([
    [-22, 'EINVAL'],
    [-95, 'EOPNOTSUPP'],
    [-38, 'ENOSYS'],
  ])('a backend that answers %i has none', (status, errno) =>
    withRawCard('p', async (raw) => {
      const out = await openStream(raw);
      raw.backend.answer = (request) => (isVolume(request) ? { status } : {});
      for (const call of [
        () => out.getVolume(),
        () => out.setVolume(0),
        () => out.mute(),
        () => out.unmute(),
      ]) {
        await expect(call()).rejects.toMatchObject({
          code: 'ERR_VSND_NOT_SUPPORTED',
          status,
          errno,
          message: expect.stringContaining('softwareVolume: true'),
        });
      }
      expect([out.muted, out.destroyed]).toEqual([[false, false], false]);
    }),
  );

  test('muted says what was muted here', () =>
    withRawCard('p', async (raw) => {
      withVolume(raw.backend);
      const out = await openStream(raw);
      expect(out.muted).toEqual([false, false]);
      await out.mute([1]);
      expect(out.muted).toEqual([false, true]);
      await out.mute();
      await out.unmute([1]);
      expect(out.muted).toEqual([true, false]);
      await out.unmute([]);
      expect(out.muted).toEqual([true, false]);
    }));

  test('before the stream is open the calls wait', () =>
    withRawCard('p', async (raw) => {
      const { told } = withVolume(raw.backend);
      const out = raw.card.createPlaybackStream(FORMAT);
      expect(await Promise.all([out.setVolume(-3), out.getVolume()])).toEqual([undefined, [-3, -3]]);
      expect(told).toHaveLength(2);
    }));

  test('they reject when the stream ends before that', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(FORMAT);
      const waiting = expect(out.setVolume(-3)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
      out.destroy();
      await waiting;
      await once(out, 'close');
      const late = [out.getVolume(), out.setVolume(0), out.mute(), out.unmute()];
      for (const { status, reason } of (await Promise.allSettled(late)) as PromiseRejectedResult[]) {
        expect(status).toBe('rejected');
        expect(reason).toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
      }
    }));

  test('they reject when the backend is gone', () =>
    withRawCard('p', async (raw) => {
      const out = await openStream(raw);
      const closed = closing(out);
      raw.backend.holdRequests();
      const asked = expect(out.getVolume()).rejects.toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
      await raw.machine.settle();
      await raw.backend.say(6);
      await asked;
      expect(await closed).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
    }));

  test.each([
    [{ volume: Number.NaN }, /^volume is NaN; allowed: -144 to 24 \(dB\)$/],
    [{ volume: Number.NEGATIVE_INFINITY }, /^volume is -Infinity/],
    [{ volume: 2_147_483.648 }, /^volume is 2147483.648/],
    [{ volume: [0] }, /^volume is an array; allowed: a number, or an array of 2, one a channel$/],
    [{ volume: [0, 0, 0] }, /^volume is an array/],
    [{ volume: [0, '1'] }, /^volume is "1"/],
    [{ volume: [0, undefined] }, /^volume is undefined/],
    [{ volume: '-3' }, /^volume is "-3"; allowed: a number/],
    [{ volume: undefined }, /^volume is undefined/],
    [{ volume: null }, /^volume is null/],
    [{ mute: [2] }, /^channels is 2; allowed: 0 to 1$/],
    [{ mute: [0.5] }, /^channels is 0.5/],
    [{ mute: [-1] }, /^channels is -1/],
    [{ mute: ['0'] }, /^channels is "0"/],
    [{ mute: 0 }, /^channels is 0; allowed: an array of channel numbers$/],
    [{ mute: 'all' }, /^channels is "all"/],
  ])('misuse throws at once: %o', (wrong: { volume?: unknown; mute?: unknown }, message) =>
    withRawCard('p', async (raw) => {
      for (const softwareVolume of [false, true]) {
        const out = await openStream(raw, { softwareVolume });
        const calls =
          'mute' in wrong
            ? [() => out.mute(wrong.mute as number[]), () => out.unmute(wrong.mute as number[])]
            : [() => out.setVolume(wrong.volume as number)];
        const expected = softwareVolume && 'volume' in wrong ? /^volume is / : message;
        for (const call of calls) {
          expect(call).toThrow(
            expect.objectContaining({
              code: 'ERR_VSND_INVALID_ARG',
              message: expect.stringMatching(expected),
            }),
          );
        }
        out.destroy();
        await once(out, 'close');
      }
      expect(raw.backend.requests.some(({ request }) => isVolume(request))).toBe(false);
    }),
  );

  test('of our own backend: what is heard is as loud as it was set, and muted channels are silent', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(FORMAT);
    await out.setVolume([-20, 6]);
    await out.mute([0]);
    expect(await out.getVolume()).toEqual([-20, 6]);
    out.end(Buffer.from(new Int16Array(2 * 3000).fill(1000).buffer));
    await playUntil(guest, once(out, 'close'));
    const heard = guest.device.heard();
    const samples = new Int16Array(heard.buffer.slice(heard.byteOffset, heard.byteOffset + heard.length));
    expect([...samples.slice(-2)]).toEqual([0, 1995]);
    await card.close();
  });
});

describe('after the next OPEN', () => {
  test('of a drop, the backend is told again before anything is heard', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const { told } = withVolume(backend);
      const out = await openStream(raw);
      await out.setVolume([-3, -4]);
      await out.mute([1]);
      const before = [...told];
      told.length = 0;
      await out.drop();
      out.write(noise(900 * FRAME));
      await machine.settle();
      expect(told).toEqual(before);
      expect(backend.operations.slice(-5)).toEqual(['open', 'setVolume', 'mute', 'write', 'trigger start']);
      await out.unmute();
      told.length = 0;
      await out.drop();
      await machine.settle();
      expect(told).toEqual(before.slice(0, 1)); // nothing is muted
    }));

  test('what was never set is not told', () =>
    withRawCard('p', async (raw) => {
      const { told } = withVolume(raw.backend);
      const out = await openStream(raw);
      await out.drop();
      await raw.machine.settle();
      expect([told, out.state]).toEqual([[], 'prepared']);
    }));

  test('end() while it is being told: nothing is left to play, and that is the end', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const out = await openStream(raw);
      const closed = closing(out);
      await out.setVolume(-3);
      await out.drop();
      const letGo = backend.holdRequests();
      await machine.settle();
      for (let turns = 0; turns < 3; turns++) {
        letGo();
        backend.answer = (request) => {
          if (request?.op === 'setVolume') out.end();
          return {};
        };
        await machine.settle();
      }
      expect(await closed).toBeUndefined();
      expect(out.writableFinished).toBe(true);
    }));

  test('a backend that does not take it is a warning, and the stream goes on', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      withVolume(backend);
      const out = await openStream(raw);
      const warnings: StreamWarning[] = [];
      out.on('warning', (warning: StreamWarning) => warnings.push(warning));
      await out.setVolume(-3);
      backend.answer = (request) => (isVolume(request) ? { status: -22 } : {});
      await out.drop();
      out.write(noise(900 * FRAME));
      await machine.settle();
      expect(warnings).toMatchObject([
        { code: 'VSND_VOLUME_LOST', message: expect.stringContaining('EINVAL') },
      ]);
      expect(out.state).toBe('running');
    }));
});

describe('softwareVolume', () => {
  /** Plays mono samples of full scale, and gives back what was heard. */
  const samplesOf = (bytes: Uint8Array) => [
    ...new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
  ];

  test('is done here: nothing of it goes over the wire, and what is written is scaled', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const out = await openStream(raw, { softwareVolume: true });
      await out.setVolume([-20, 0]);
      expect(await out.getVolume()).toEqual([-20, 0]);
      await out.mute([1]);
      expect(out.muted).toEqual([false, true]);
      out.write(Buffer.from(Int16Array.of(1000, 1000, -2000, 30_000).buffer));
      await machine.settle();
      expect(samplesOf(Buffer.concat(backend.written))).toEqual([100, 0, -200, 0]);
      expect(backend.requests.some(({ request }) => isVolume(request))).toBe(false);
    }));

  test('at 0 dB not a byte is touched', () =>
    withRawCard('p', async (raw) => {
      const out = await openStream(raw, { softwareVolume: true });
      out.write(noise(900 * FRAME));
      await raw.machine.settle();
      expect(Buffer.concat(raw.backend.written).equals(noise(900 * FRAME))).toBe(true);
    }));

  test('works before the stream is open, and whatever the backend can', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      backend.answer = (request) => (isVolume(request) ? { status: -22 } : {});
      const out = card.createPlaybackStream({ ...FORMAT, softwareVolume: true });
      await out.setVolume(-20);
      out.write(Buffer.from(Int16Array.of(1000, -1000).buffer));
      await machine.settle();
      expect(samplesOf(Buffer.concat(backend.written))).toEqual([100, -100]);
    }));

  test('stays over a drop, and nothing is scaled twice', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const out = await openStream(raw, { softwareVolume: true });
      await out.setVolume(-20);
      await out.mute([1]);
      out.write(Buffer.from(new Int16Array(3000 * 2).fill(1000).buffer));
      await machine.settle();
      await out.drop();
      backend.written.length = 0;
      out.write(Buffer.from(new Int16Array(3000 * 2).fill(-1000).buffer));
      await machine.settle();
      const samples = samplesOf(Buffer.concat(backend.written));
      expect(new Set(samples.filter((_, n) => n % 2 === 0))).toEqual(new Set([-100]));
      expect(new Set(samples.filter((_, n) => n % 2 === 1))).toEqual(new Set([0]));
      expect(backend.requests.some(({ request }) => isVolume(request))).toBe(false);
    }));

  test.each(['mu_law', 'a_law', 'float_be', 'u24_le'] as const)('%s has one', async (format) => {
    const { card } = await startCard();
    const out = card.createPlaybackStream({ ...FORMAT, format, softwareVolume: true });
    await out.setVolume(-6);
    await card.close();
  });

  test('a format without samples has none: that is said at once', async () => {
    const { card } = await startCard();
    const create = () =>
      card.createPlaybackStream({ ...FORMAT, format: 'iec958_subframe_le', softwareVolume: true });
    expect(create).toThrow(
      expect.objectContaining({
        code: 'ERR_VSND_NOT_SUPPORTED',
        message: expect.stringContaining('iec958_subframe_le'),
      }),
    );
    card.createPlaybackStream({ ...FORMAT, format: 'iec958_subframe_le' }).destroy();
    await card.close();
  });

  test('is true or false', async () => {
    const { card } = await startCard();
    const create = () => card.createPlaybackStream({ ...FORMAT, softwareVolume: 'yes' as never });
    expect(create).toThrow(
      expect.objectContaining({
        code: 'ERR_VSND_INVALID_ARG',
        message: 'softwareVolume is "yes"; allowed: true, false',
      }),
    );
    await card.close();
  });
});
