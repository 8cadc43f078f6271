import { Writable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import type { PcmDevice } from '../../src/backend/pcm-device.ts';
import { WritableVoice } from '../../src/backend/writable-voice.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, PERIOD_BYTES } from './raw-frontend.ts';
import { useWorlds } from './world.ts';

const startWorld = useWorlds();

/** A sound device as Node sees it: takes a piece, and says later that it is done with it. */
class HandWritable extends Writable {
  readonly pieces: Uint8Array[] = [];
  ended = false;
  #done: ((error?: Error | null) => void) | undefined;
  #finish: (() => void) | undefined;
  readonly #holdsEnd: boolean;

  constructor({ holdsEnd = false } = {}) {
    super({ highWaterMark: 1 });
    this.#holdsEnd = holdsEnd;
  }

  override _write(piece: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.pieces.push(piece);
    this.#done = done;
  }

  override _final(done: () => void): void {
    this.ended = true;
    if (this.#holdsEnd) this.#finish = done;
    else done();
  }

  get busy(): boolean {
    return this.#done !== undefined;
  }

  /** From here on it takes all at once, so that whoever waits for it can go home. */
  release(): void {
    this._write = (_piece, _encoding, done) => done();
    this.done();
    this.finish();
  }

  /** The write callback of the piece that it has. */
  done(error?: Error): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(error);
  }

  finish(): void {
    this.#finish?.();
  }

  get taken(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

const speakers: HandWritable[] = [];

// Before the worlds are closed: a backend that closes waits for the piece that its device has.
afterEach(() => {
  for (const speaker of speakers.splice(0)) speaker.release();
});

async function startHand({ holdsEnd = false, changes = {} } = {}) {
  const device: PcmDevice = {
    description: 'a hand',
    formats: ['s16_le', 'u8'],
    openPlayback: async (params, feed) => {
      const speaker = new HandWritable({ holdsEnd });
      speakers.push(speaker);
      return new WritableVoice(params, feed, speaker, (bytes) => bytes.slice());
    },
  };
  const world = await startWorld({ device: () => device });
  const { channel, buffer } = await world.openStream(changes);
  const bytes = noise(BUFFER_BYTES);
  buffer.put(0, bytes);
  const speaker = (take = 0) => {
    const found = speakers[take];
    if (found === undefined) throw new Error('not opened');
    return found;
  };
  /** Calls back once, and lets all follow. */
  const done = async (take = 0, error?: Error) => {
    speaker(take).done(error);
    await world.guest.settle();
  };
  return { world, channel, buffer, bytes, speaker, done };
}

describe('a device behind a Writable', () => {
  test('gets a period at a time, and the next when it has called back', async () => {
    const { channel, speaker, done, bytes } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    expect(speaker().pieces).toHaveLength(0);
    await channel.trigger('start');
    for (let period = 1; period <= 8; period++) {
      expect(speaker().pieces).toHaveLength(period);
      expect(speaker().pieces.at(-1)).toHaveLength(PERIOD_BYTES);
      expect(channel.takePositions()).toEqual([]);
      await done();
      expect(channel.takePositions()).toEqual([period * PERIOD_BYTES]);
    }
    expect(speaker().taken).toEqual(Buffer.from(bytes));
    expect(speaker().busy).toBe(false);
  });

  test('no time moves it, only its callbacks', async () => {
    const { world, channel, speaker } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(1_000_000);
    expect(channel.takePositions()).toEqual([]);
    expect(speaker().pieces).toHaveLength(1);
  });

  test('waits for data at START, and after it has run dry', async () => {
    const { channel, speaker, done } = await startHand();
    await channel.trigger('start');
    expect(speaker().pieces).toHaveLength(0);
    await channel.write(0, 100);
    expect(speaker().pieces).toHaveLength(1);
    await done();
    expect(channel.takePositions()).toEqual([100]);
    await channel.write(100, PERIOD_BYTES);
    await done();
    expect(channel.takePositions()).toEqual([100 + PERIOD_BYTES]);
    expect(speaker().taken).toHaveLength(100 + PERIOD_BYTES);
  });

  test('gets no second piece when more is written meanwhile', async () => {
    const { channel, speaker } = await startHand();
    await channel.trigger('start');
    for (let offset = 0; offset < BUFFER_BYTES; offset += 512) await channel.write(offset, 512);
    expect(speaker().writableLength).toBe(512);
  });

  test('takes pieces of its own where no reports are wanted', async () => {
    const { channel, speaker, done } = await startHand({ changes: { periodBytes: 0 } });
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    for (let turn = 0; turn < 10; turn++) await done();
    expect(speaker().taken).toHaveLength(BUFFER_BYTES);
    expect(channel.takePositions()).toEqual([]);
  });

  test('gets whole frames, whatever the period', async () => {
    const { channel, speaker, done } = await startHand({ changes: { periodBytes: 1023 } });
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    for (let turn = 0; turn < 10; turn++) await done();
    expect(speaker().pieces.every((piece) => piece.length % 4 === 0)).toBe(true);
    expect(speaker().taken).toHaveLength(BUFFER_BYTES);
  });
});

describe('PAUSE, RESUME and STOP of it', () => {
  test('a paused one finishes its piece and takes no other; RESUME goes on without a gap', async () => {
    const { channel, speaker, done, bytes } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await channel.trigger('pause');
    await done();
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
    expect(speaker().pieces).toHaveLength(1);
    await channel.trigger('resume');
    for (let turn = 0; turn < 7; turn++) await done();
    expect(speaker().taken).toEqual(Buffer.from(bytes));
    expect(channel.takePositions()).toHaveLength(7);
  });

  test('RESUME before the piece has come back gives it no second one', async () => {
    const { channel, speaker, done } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await channel.trigger('pause');
    await channel.trigger('resume');
    expect(speaker().writableLength).toBe(PERIOD_BYTES); // what it has, and what waits before it
    await done();
    expect(speaker().pieces).toHaveLength(2);
    expect(speaker().writableLength).toBe(PERIOD_BYTES);
  });

  test('STOP with a piece under way: nothing is reported of it, and positions begin at 0', async () => {
    const { channel, speaker, done } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await channel.trigger('stop');
    await done();
    expect(channel.takePositions()).toEqual([]);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    expect(speaker().pieces).toHaveLength(2);
    await done();
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });

  test('STOP and START before the piece has come back: its callback counts for nothing', async () => {
    const { channel, speaker, done, bytes } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await channel.trigger('stop');
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    expect(speaker().pieces).toHaveLength(1);
    await done();
    expect(channel.takePositions()).toEqual([]);
    expect(speaker().pieces).toHaveLength(2);
    for (let period = 1; period <= 8; period++) {
      await done();
      expect(channel.takePositions()).toEqual([period * PERIOD_BYTES]);
    }
    expect(speaker().taken.subarray(PERIOD_BYTES)).toEqual(Buffer.from(bytes));
  });
});

describe('CLOSE of it', () => {
  test('drains: all callbacks, then the end of the device, then the answer', async () => {
    const { world, channel, speaker, done } = await startHand({ holdsEnd: true });
    await channel.write(0, 2 * PERIOD_BYTES);
    await channel.trigger('start');
    channel.send({ op: 'close' });
    await done();
    expect(speaker().ended).toBe(false);
    await done();
    expect(channel.takePositions()).toEqual([PERIOD_BYTES, 2 * PERIOD_BYTES]);
    expect(speaker().ended).toBe(true);
    expect(channel.takeResponses()).toEqual([]);
    speaker().finish();
    await world.guest.settle();
    expect(channel.takeResponses()).toMatchObject([{ operation: 1, status: 0 }]);
  });

  test('after STOP waits for the piece under way only', async () => {
    const { channel, speaker, done } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await channel.trigger('stop');
    channel.send({ op: 'close' });
    await done();
    expect(channel.takeResponses()).toMatchObject([{ operation: 1, status: 0 }]);
    expect(speaker().pieces).toHaveLength(1);
    expect(channel.takePositions()).toEqual([]);
  });

  test('of one that never started is answered at once, and the next OPEN gets another device', async () => {
    const { channel, buffer, speaker, done } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    expect(await channel.close()).toBe(0);
    expect(speaker(0).destroyed).toBe(true);
    await channel.open(buffer);
    await channel.write(0, PERIOD_BYTES);
    await channel.trigger('start');
    await done(1);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });

  test('a frontend that leaves while it drains does not wait for what is queued', async () => {
    const { world, channel, speaker, done } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    channel.send({ op: 'close' });
    await world.guest.setState('5');
    await done();
    expect(await world.guest.backendState()).toBe('2');
    expect(speaker().pieces).toHaveLength(1);
    expect(speaker().destroyed).toBe(true);
  });
});

describe('an error of it', () => {
  const broken = Object.assign(new Error('unplugged'), { errno: 'ENODEV' });

  test('ends the playing; the next request gets the errno; CLOSE releases', async () => {
    const { world, channel, buffer, done } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await done();
    await done(0, broken);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
    expect(world.takeLog().join()).toContain('unplugged');
    expect(await channel.write(0, 4)).toBe(-XenErrno.ENODEV);
    expect(await channel.close()).toBe(-XenErrno.ENODEV);
    expect(world.machine.leaks().filter((leak) => leak.includes('domain 0: mapping of 2'))).toEqual([]);
    expect(await channel.open(buffer)).toBe(0);
  });

  test('ends a CLOSE that drains', async () => {
    const { channel, done } = await startHand();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    channel.send({ op: 'close' });
    await done(0, broken);
    expect(channel.takeResponses()).toMatchObject([{ operation: 1, status: -XenErrno.ENODEV }]);
  });

  test('that comes from nowhere, before START, is no crash', async () => {
    const { world, channel, speaker } = await startHand();
    speaker().destroy(broken);
    await world.guest.settle();
    expect(await channel.trigger('start')).toBe(-XenErrno.ENODEV);
    expect(await channel.close()).toBe(-XenErrno.ENODEV);
  });

  test('that comes while it is being closed is nobody’s affair any more', async () => {
    const { world, channel, speaker } = await startHand({ holdsEnd: true });
    channel.send({ op: 'close' });
    await world.guest.settle();
    speaker().destroy(broken);
    await world.guest.settle();
    expect(channel.takeResponses()).toMatchObject([{ operation: 1, status: 0 }]);
    expect(world.log.join()).not.toContain('unplugged');
  });
});
