import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import type { StreamWarning } from '../../src/frontend/stream-events.ts';
import { FRAME, noise, TEN_PERIODS } from '../sound.ts';
import { closing, playUntil, staged, startCard } from './setup.ts';

/** Where little waits beside the buffer. */
const TIGHT = { ...TEN_PERIODS, highWaterMark: 100 * FRAME } as const;

describe('backpressure is the position of the backend', () => {
  test('with the clock stopped exactly the buffer goes in, and write() returns false', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TIGHT);
    let drained = false;
    out.on('drain', () => {
      drained = true;
    });
    expect(out.write(noise(5000 * FRAME))).toBe(false);
    await guest.machine.settle();
    expect(out.latency).toBe(1000 + staged(100));
    expect(out.position).toBe(0);
    await guest.machine.settle();
    expect(out.latency).toBe(1000 + staged(100));
    expect(drained).toBe(false);
    await card.close();
  });

  test('the frontend has no timer that lets more in: it has none at all while the buffer is full and all is answered', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream({ ...TEN_PERIODS, startThresholdFrames: 1000 });
    out.write(noise(900 * FRAME));
    await guest.machine.settle();
    expect(out.state).toBe('prepared');
    expect(guest.clock.pendingTimers).toBe(1); // the one that looks after requests: WRITE has not been seen to be answered
    await guest.clock.advanceTime(3e9);
    expect(guest.clock.pendingTimers).toBe(0);
    await guest.clock.advance(1_000_000);
    expect(out.latency).toBe(900);
    await card.close();
  });

  test('empty chunks between others are none', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    const sound = noise(50 * FRAME);
    for (let at = 0; at < sound.length; at += 10) {
      out.write(Buffer.alloc(0));
      out.write(sound.subarray(at, at + 10));
    }
    out.end(Buffer.alloc(0));
    await playUntil(guest, once(out, 'close'));
    expect(Buffer.from(guest.device.heard())).toEqual(sound);
    await card.close();
  });

  test('a period played lets exactly a period in', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    out.on('position', () => {}); // so that it is not a little old
    out.write(noise(5000 * FRAME));
    await guest.machine.settle();
    for (let played = 100; played <= 2000; played += 100) {
      await guest.clock.advance(100);
      expect(out.position).toBe(played);
      expect(out.latency).toBe(1000 + staged(4000 - played));
    }
    expect(Buffer.from(guest.device.heard())).toEqual(noise(5000 * FRAME).subarray(0, 2000 * FRAME));
    await card.close();
  });

  test('write() calls back only when its last frame is in the buffer, or staged for it', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TIGHT);
    let called = false;
    out.write(noise(1500 * FRAME), () => {
      called = true;
    });
    await guest.machine.settle();
    await guest.clock.advance(400 - staged(100));
    expect(called).toBe(false);
    await guest.clock.advance(100);
    expect(called).toBe(true);
    await card.close();
  });
});

describe('starting', () => {
  test('playing starts at the threshold, not before', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream({ ...TEN_PERIODS, startThresholdFrames: 500 });
    out.write(noise(499 * FRAME));
    await guest.machine.settle();
    await guest.clock.advance(1000);
    expect([out.state, out.position]).toEqual(['prepared', 0]);
    out.write(noise(1 * FRAME));
    await guest.machine.settle();
    expect(out.state).toBe('running');
    await guest.clock.advance(100);
    expect(out.position).toBe(100);
    await card.close();
  });

  test('by default the threshold is the buffer less a period', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    out.write(noise(899 * FRAME));
    await guest.machine.settle();
    expect(out.state).toBe('prepared');
    out.write(noise(1 * FRAME));
    await guest.machine.settle();
    expect(out.state).toBe('running');
    await card.close();
  });

  test('a stream shorter than the threshold plays', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    out.end(noise(10 * FRAME));
    await playUntil(guest, once(out, 'finish'));
    expect(Buffer.from(guest.device.heard())).toEqual(noise(10 * FRAME));
    await card.close();
  });

  test('a threshold beyond the buffer means a full buffer', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream({ ...TEN_PERIODS, startThresholdFrames: 5000 });
    out.write(noise(999 * FRAME));
    await guest.machine.settle();
    expect(out.state).toBe('prepared');
    out.write(noise(FRAME));
    await guest.machine.settle();
    expect(out.state).toBe('running');
    await card.close();
  });
});

describe('the end', () => {
  test("'finish' comes after the last frame has been played, then 'close', once each", async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    const events: string[] = [];
    for (const name of ['open', 'finish', 'close', 'error'] as const) out.on(name, () => events.push(name));
    out.end(noise(1050 * FRAME));
    await guest.machine.settle();
    await guest.clock.advance(1049);
    expect(events).toEqual(['open']);
    await guest.clock.advance(1);
    expect(events).toEqual(['open', 'finish', 'close']);
    expect(out.position).toBe(1050);
    await guest.clock.advance(100_000);
    expect(events).toEqual(['open', 'finish', 'close']);
    expect(out.underruns).toBe(0);
    await card.close();
  });

  test('an empty stream finishes at once', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    out.end();
    await once(out, 'close');
    expect(out.writableFinished).toBe(true);
    expect(guest.device.heard()).toHaveLength(0);
    await card.close();
  });

  test('a last incomplete frame is dropped, with a warning', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    const warnings: StreamWarning[] = [];
    out.on('warning', (warning: StreamWarning) => warnings.push(warning));
    out.end(noise(10 * FRAME + 3));
    await playUntil(guest, once(out, 'close'));
    expect(Buffer.from(guest.device.heard())).toEqual(noise(10 * FRAME));
    expect(warnings).toEqual([
      {
        code: 'VSND_PARTIAL_FRAME',
        message: 'the last 3 bytes are not a whole frame of 4; they were dropped',
      },
    ]);
    await card.close();
  });

  test('a write after the end fails, and only that', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    const closed = closing(out);
    out.end(noise(2000 * FRAME));
    out.write('late');
    const error = await playUntil(guest, closed);
    expect(error).toMatchObject({ code: 'ERR_STREAM_WRITE_AFTER_END' });
    await card.close();
  });

  test('the stream can be opened again, and the card plays both, one after the other', async () => {
    const { guest, card } = await startCard();
    for (const seed of [1, 2]) {
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.end(noise(1234 * FRAME, seed));
      await playUntil(guest, once(out, 'close'));
      expect(Buffer.from(guest.device.heard())).toEqual(noise(1234 * FRAME, seed));
    }
    await card.close();
  });
});

describe('pipeline()', () => {
  test('resolves when the last frame has been played', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    const source = noise(30_000 * FRAME);
    const pieces = Array.from({ length: 30 }, (_, n) => source.subarray(n * 4000, (n + 1) * 4000));
    await playUntil(guest, pipeline(Readable.from(pieces), out));
    expect(out.position).toBe(30_000);
    expect(Buffer.from(guest.device.heard())).toEqual(source);
    expect(out.underruns).toBe(0);
    await card.close();
  });

  test('a source that fails destroys the stream with its error', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    async function* failing() {
      yield noise(2000 * FRAME);
      throw new Error('the source broke');
    }
    const playing = pipeline(Readable.from(failing()), out);
    const failed = expect(playUntil(guest, playing)).rejects.toThrow('the source broke');
    await failed;
    await guest.machine.settle();
    expect(out.closed).toBe(true);
    await card.close();
  });

  test('an aborted signal ends it promptly with an AbortError', async () => {
    const { guest, card } = await startCard();
    const abort = new AbortController();
    const out = card.createPlaybackStream({ ...TEN_PERIODS, signal: abort.signal });
    const closed = closing(out);
    out.write(noise(5000 * FRAME));
    await guest.machine.settle();
    abort.abort();
    expect(await closed).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    await card.close();
  });

  test('a signal that was aborted before: it is not even opened', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream({ ...TEN_PERIODS, signal: AbortSignal.abort() });
    expect(await closing(out)).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    await guest.machine.settle();
    expect(card.streams).toEqual([]);
    await card.close();
  });

  test.each(['x', 7, null, {}])('%o is no signal', async (signal) => {
    const { guest, card } = await startCard();
    expect(() => card.createPlaybackStream({ ...TEN_PERIODS, signal: signal as never })).toThrow(
      expect.objectContaining({
        code: 'ERR_VSND_INVALID_ARG',
        message: expect.stringMatching(/^signal is .*; allowed: an AbortSignal$/),
      }),
    );
    await guest.machine.settle();
    await card.close();
  });
});

describe('destroy()', () => {
  const state = async (out: PlaybackStream) => {
    const closed = closing(out);
    out.destroy();
    expect(await closed).toBeUndefined();
    expect(out.state).toBe('finished');
  };

  test('before the stream is open', async () => {
    const { card } = await startCard();
    await state(card.createPlaybackStream(TEN_PERIODS));
    await card.close();
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'during the opening, after %i turns of the event loop',
    async (turns) => {
      const { guest, card } = await startCard();
      const out = card.createPlaybackStream(TEN_PERIODS);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      await state(out);
      await guest.machine.settle();
      await card.close();
    },
  );

  test('in a blocked write, whose callback then gets an error', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TIGHT);
    const failures: unknown[] = [];
    out.write(noise(5000 * FRAME), (error?: Error | null) => failures.push(error));
    out.write(noise(10 * FRAME), (error?: Error | null) => failures.push(error));
    await guest.machine.settle();
    await state(out);
    expect(failures).toHaveLength(2);
    expect(failures[0]).toBeInstanceOf(Error);
    expect(failures[1]).toBeInstanceOf(Error);
    await card.close();
  });

  test('while the last frames are being played', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    out.end(noise(1000 * FRAME));
    await guest.machine.settle();
    await guest.clock.advance(500);
    expect(out.state).toBe('draining');
    await state(out);
    expect(out.writableFinished).toBe(false);
    await card.close();
  });

  test('called twice closes once', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    let closes = 0;
    out.on('close', () => {
      closes++;
    });
    out.write(noise(5000 * FRAME));
    await guest.machine.settle();
    out.destroy();
    out.destroy();
    await guest.machine.settle();
    expect(closes).toBe(1);
    await card.close();
  });

  test('gives the stream back to the card only when the backend has let go', async () => {
    const { guest, card } = await startCard();
    const first = card.createPlaybackStream(TEN_PERIODS);
    await once(first, 'open');
    expect(() => card.createPlaybackStream(TEN_PERIODS)).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_NO_STREAM' }),
    );
    first.destroy();
    await once(first, 'close');
    await state(card.createPlaybackStream(TEN_PERIODS));
    await guest.machine.settle();
    await card.close();
  });

  test('card.close() destroys what still plays', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    out.write(noise(5000 * FRAME));
    await guest.machine.settle();
    await card.close();
    expect(out.closed).toBe(true);
    expect(() => card.createPlaybackStream(TEN_PERIODS)).toThrow('the card has been closed');
  });
});

describe('underruns', () => {
  test('are counted once each, and playing goes on by itself', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    const events: unknown[] = [];
    out.on('underrun', (event: unknown) => events.push(event));
    out.write(noise(950 * FRAME));
    await guest.machine.settle();
    await guest.clock.advance(3000);
    expect(events).toEqual([{ frames: 950, count: 1 }]);
    expect([out.state, out.position, out.latency]).toEqual(['underrun', 950, 0]);
    out.write(noise(100 * FRAME, 2));
    await guest.machine.settle();
    expect(out.state).toBe('running');
    await guest.clock.advance(3000);
    expect(events).toEqual([
      { frames: 950, count: 1 },
      { frames: 1050, count: 2 },
    ]);
    expect(out.underruns).toBe(2);
    out.end();
    await playUntil(guest, once(out, 'finish'));
    const both = Buffer.concat([noise(950 * FRAME), noise(100 * FRAME, 2)]);
    expect(Buffer.from(guest.device.heard())).toEqual(both);
    await card.close();
  });

  test('a listener that throws is not a failure of the stream', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => thrown.push(error));
    out.once('underrun', () => {
      throw new Error('the listener broke');
    });
    out.write(noise(950 * FRAME));
    await guest.machine.settle();
    await guest.clock.advance(1000);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(thrown).toMatchObject([{ message: 'the listener broke' }]);
    expect(out.destroyed).toBe(false);
    await card.close();
  });
});

test('an event loop blocked for 100 ms causes no underrun with the default buffer', async () => {
  const { guest, card } = await startCard();
  const out = card.createPlaybackStream({ rate: 48_000, channels: 2, format: 's16_le' });
  out.write(noise(100_000 * FRAME));
  await guest.machine.settle();
  for (let round = 0; round < 5; round++) {
    await guest.clock.advance(7777);
    const letGo = guest.machine.faults.holdNotifications({ domid: 1 });
    await guest.clock.advance(4800); // 100 ms in which the frontend sees nothing
    letGo();
    await guest.machine.settle();
  }
  expect(out.underruns).toBe(0);
  expect(out.position).toBeGreaterThan(5 * 12_000);
  await card.close();
});

test('two streams at once do not hear each other', async () => {
  const stream = { fields: { type: 'p', 'unique-id': 'x' } };
  const { guest, card } = await startCard({
    pcmDevices: [{ streams: [stream] }, { streams: [stream, stream] }],
  });
  const outs = [0, 1, 2].map((n) => ({
    out: card.createPlaybackStream(TEN_PERIODS),
    source: noise(7000 * FRAME, n),
  }));
  const plays = outs.map(({ out, source }) => {
    out.end(source);
    return once(out, 'finish');
  });
  await playUntil(guest, Promise.all(plays));
  const heard = [0, 1, 2].map((take) => Buffer.from(guest.device.heard(take)).toString('hex')).sort();
  expect(heard).toEqual(outs.map(({ source }) => source.toString('hex')).sort());
  await card.close();
});

test('position, latency and counts can be read at any time', async () => {
  const { guest, card } = await startCard();
  const out = card.createPlaybackStream(TEN_PERIODS);
  const read = () => [
    out.position,
    out.latency,
    out.underruns,
    out.positionReports,
    out.bufferFrames,
    out.periodFrames,
  ];
  expect(read()).toEqual([0, 0, 0, 0, 0, 0]);
  out.write(noise(950 * FRAME));
  await guest.machine.settle();
  expect(read()).toEqual([0, 950, 0, 0, 1000, 100]);
  await guest.clock.advance(250);
  expect(read()).toEqual([200, 750, 0, 2, 1000, 100]);
  out.destroy();
  await once(out, 'close');
  expect(read()).toEqual([200, 750, 0, 2, 1000, 100]);
  await card.close();
});
