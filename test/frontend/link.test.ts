import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import { Backend, createSoundCard, removeSoundCard } from '../../src/testing.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { FRAME, noise, TEN_PERIODS } from '../sound.ts';
import { RawBackend } from './raw-backend.ts';
import { closing, type RawCard, staged, startCard, withRawCard } from './setup.ts';

const FRONTEND = '/local/domain/1/device/vsnd/0';
const BACKEND = '/local/domain/0/backend/vsnd/1/0';
const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));

/** Ends the backend as one that is stopped does. */
async function stop({ backend, machine }: RawCard): Promise<void> {
  await backend.say(5);
  await backend.say(6);
  await backend.close();
  await machine.settle();
}

async function startNext(raw: RawCard): Promise<RawBackend> {
  raw.backend = await RawBackend.start(raw.machine, raw.guest.domid);
  await raw.machine.settle();
  return raw.backend;
}

/** A backend that answers each try to connect with these states, one after the other. Counts the tries. */
async function refuse({ machine }: RawCard, states: readonly string[]) {
  const dom0 = await XenStoreClient.open(machine.dom0);
  const refusal = { tries: 0, end: () => dom0.close() };
  await dom0.write(`${BACKEND}/state`, '2');
  await dom0.watch(`${FRONTEND}/state`, async () => {
    if ((await dom0.readIfPresent(`${FRONTEND}/state`)) !== '3') return;
    refusal.tries++;
    for (const state of states) {
      await dom0.write(`${BACKEND}/state`, state);
      await machine.step();
    }
  });
  return refusal;
}

async function play({ card, machine }: RawCard, options = {}): Promise<PlaybackStream> {
  const out = card.createPlaybackStream({ ...TEN_PERIODS, ...options });
  out.write(noise(5000 * FRAME));
  await machine.settle();
  return out;
}

describe('a card without reconnect', () => {
  test('its streams end with the backend; it is connected again by itself, for new ones', () =>
    withRawCard('p', async (raw) => {
      const { card, clock } = raw;
      const closed = closing(await play(raw));
      await stop(raw);
      const gone = { code: 'ERR_VSND_BACKEND_GONE', path: BACKEND };
      expect(await closed).toMatchObject(gone);
      expect([card.connected, card.streams]).toEqual([false, []]);
      expect(() => card.createPlaybackStream(TEN_PERIODS)).toThrow(expect.objectContaining(gone));
      await clock.advanceTime(3600e9);
      expect(await startNext(raw).then((backend) => backend.frontendState())).toBe('4');
      expect(card.connected).toBe(true);
      const out = await play(raw);
      expect([out.state, out.latency]).toEqual(['running', 1000 + staged(4000)]);
    }));

  test('a stream that is created in the instant of the loss is told of it', () =>
    withRawCard('p', async (raw) => {
      const first = await play(raw);
      const refused = new Promise((resolve) => {
        first.on('error', () => {
          try {
            raw.card.createPlaybackStream(TEN_PERIODS).on('error', resolve);
          } catch (error) {
            resolve(error);
          }
        });
      });
      await stop(raw);
      expect(await refused).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
    }));
});

describe('which streams outlive their backend', () => {
  test.each([
    [{}, {}, false],
    [{ reconnect: true }, {}, true],
    [{}, { reconnect: true }, true],
    [{ reconnect: true }, { reconnect: false }, false],
    [{ reconnect: false }, { reconnect: undefined }, false],
  ])('card %o, stream %o: %s', (cardOptions, options, lasts) =>
    withRawCard(
      'p',
      async (raw) => {
        const out = await play(raw, options);
        const closed = closing(out);
        await stop(raw);
        expect(out.destroyed).toBe(!lasts);
        if (!lasts) expect(await closed).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
      },
      cardOptions,
    ),
  );

  test.each(['yes', 1, null])('reconnect: %o is refused at once', (reconnect) =>
    withRawCard('p', async ({ card }) => {
      expect(() => card.createPlaybackStream({ ...TEN_PERIODS, reconnect: reconnect as never })).toThrow(
        expect.objectContaining({
          code: 'ERR_VSND_INVALID_ARG',
          message: expect.stringMatching(/^reconnect is .*; allowed: true, false$/),
        }),
      );
    }),
  );

  test('one that breaks the protocol ends them all the same', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      const closed = closing(out);
      raw.backend.scribbleRing(8, 1000);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
      expect(raw.card.connected).toBe(true);
    }));

  test('created while there is no backend, with reconnect: it is opened when one comes', () =>
    withRawCard('p', async (raw) => {
      await stop(raw);
      const out = await play(raw, { reconnect: true });
      expect(out.state).toBe('closed');
      await startNext(raw);
      expect([out.state, out.latency]).toEqual(['running', 1000 + staged(4000)]);
    }));
});

describe('a backend that does not take us', () => {
  test('is tried once a second, and no more', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      await raw.backend.close();
      const refusal = await refuse(raw, ['5', '6', '2']);
      await raw.clock.advanceTime(20e9);
      expect(refusal.tries).toBeGreaterThanOrEqual(16); // its silence was noticed first
      expect(refusal.tries).toBeLessThanOrEqual(21);
      expect(out.destroyed).toBe(false);
      await refusal.end();
      await raw.clock.advanceTime(1e9);
      await startNext(raw);
      await raw.clock.advanceTime(1e9);
      expect(out.state).toBe('running');
    }));

  test('which closes as soon as it has connected is tried once a second', () =>
    withRawCard('p', async (raw) => {
      await raw.backend.close();
      const refusal = await refuse(raw, ['4', '5', '6', '2']);
      await raw.clock.advanceTime(10e9);
      expect(refusal.tries).toBeGreaterThanOrEqual(9);
      expect(refusal.tries).toBeLessThanOrEqual(11);
      await refusal.end();
    }));

  test('but a connection that has stood is replaced at once', () =>
    withRawCard('p', async (raw) => {
      for (let rounds = 0; rounds < 3; rounds++) {
        await raw.clock.advanceTime(1e9);
        await raw.backend.say(2);
        await raw.machine.settle();
        expect([raw.card.connected, await raw.backend.frontendState()]).toEqual([true, '4']);
      }
    }));

  test('what this guest itself cannot do is tried ten times', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      const closed = closing(out);
      await stop(raw);
      raw.machine.faults.failOperations({ domid: 1, operation: 'grant', errno: 'ENOSPC', count: 1e6 });
      await startNext(raw);
      await raw.clock.advanceTime(8.9e9);
      expect(out.destroyed).toBe(false);
      await raw.clock.advanceTime(0.2e9);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_HYPERVISOR', errno: 'ENOSPC' });
      expect(() => raw.card.createPlaybackStream(TEN_PERIODS)).toThrow('grant');
      const late = raw.card.createPlaybackStream({ ...TEN_PERIODS, reconnect: true });
      expect(await closing(late)).toMatchObject({ code: 'ERR_VSND_HYPERVISOR' });
    }));

  test('what this guest itself cannot do at first goes on once it can', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      await stop(raw);
      raw.machine.faults.failOperations({ domid: 1, operation: 'grant', errno: 'ENOSPC', count: 3 });
      await startNext(raw);
      await raw.clock.advanceTime(5e9);
      expect([out.state, raw.card.connected]).toEqual(['running', true]);
    }));
});

describe('a card of another configuration', () => {
  /** The toolstack removes the card, and gives another one in its place. */
  async function replace(
    raw: RawCard,
    fields: Record<string, string>,
    streams = [{ fields: { type: 'p' } }],
  ) {
    await raw.backend.close();
    removeSoundCard(raw.machine, { frontendDomid: 1 });
    await raw.machine.settle();
    expect(raw.card.connected).toBe(false);
    createSoundCard(raw.machine, { frontendDomid: 1, fields, pcmDevices: [{ streams }] });
    await startNext(raw);
  }

  test('that does as well: the stream goes on, and the card says what it is now', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      await replace(raw, { 'short-name': 'Another', 'sample-rates': '48000' });
      expect([out.state, out.latency]).toEqual(['running', 1000 + staged(4000)]);
      expect(raw.card.info).toMatchObject({ shortName: 'Another' });
    }));

  test('whose buffer is smaller: the stream goes on with less', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream({
        rate: 48_000,
        channels: 2,
        format: 's16_le',
        reconnect: true,
      });
      out.write(noise(50_000));
      await raw.machine.settle();
      expect([out.bufferFrames, out.latency]).toEqual([9600, 9600 + staged(2900)]);
      await replace(raw, { 'buffer-size': '8192' });
      expect([out.bufferFrames, out.latency, out.state]).toEqual([1636, 1636 + staged(10_864), 'running']);
      const sound = Buffer.concat(raw.backend.written);
      expect(sound.equals(noise(50_000).subarray(0, sound.length))).toBe(true);
    }));

  test.each([
    [{ 'sample-formats': 's32_le' }, /^format is "s16_le"; allowed: s32_le$/],
    [{ 'sample-rates': '44100' }, /^rate is 48000; allowed: 44100/],
    [{ 'channels-min': '6', 'channels-max': '8' }, /^channels is 2; allowed: 6 to 8$/],
  ])('that offers less, %o: the stream’s error says so', (fields, message) =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      const closed = closing(out);
      await replace(raw, fields as Record<string, string>);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_INVALID_ARG',
        message: expect.stringMatching(message),
      });
      expect(raw.card.connected).toBe(true);
    }),
  );

  test('whose backend offers less: the stream’s error says so', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      const closed = closing(out);
      await stop(raw);
      raw.backend = await RawBackend.start(raw.machine, 1);
      raw.backend.answer = (request) =>
        request?.op === 'hwParamQuery' ? { ranges: { ...request.ranges, channels: { min: 6, max: 8 } } } : {};
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_NOT_SUPPORTED',
        message: 'the backend cannot meet channels: asked for 2, it offers 6 to 8',
      });
    }));

  test('without the stream', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      const closed = closing(out);
      await replace(raw, {}, [{ fields: { type: 'c' } }]);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_NO_STREAM',
        message: 'the card has no playback stream 0/0 any more',
      });
    }));

  test('is there at once, after another one as well, and no timer is left', () =>
    withRawCard('p', async (raw) => {
      for (const name of ['One', 'Another', 'A third']) {
        await replace(raw, { 'short-name': name });
        expect([raw.card.connected, raw.card.info.shortName]).toEqual([true, name]);
        expect(raw.guest.clock.pendingTimers).toBe(0);
      }
    }));

  test('without its backend’s nodes is a card without a backend, after a reconnection as well', () =>
    withRawCard('p', async (raw) => {
      await raw.clock.advanceTime(1e9);
      await stop(raw);
      await startNext(raw);
      expect(raw.card.connected).toBe(true);
      const dom0 = await XenStoreClient.open(raw.machine.dom0);
      await dom0.remove(BACKEND);
      await raw.machine.settle();
      expect(raw.card.connected).toBe(false);
      await dom0.close();
    }));

  test('a card that was removed is waited for', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      await raw.backend.close();
      removeSoundCard(raw.machine, { frontendDomid: 1 });
      await raw.clock.advanceTime(100e9);
      expect([out.destroyed, raw.card.connected]).toEqual([false, false]);
      createSoundCard(raw.machine, {
        frontendDomid: 1,
        pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
      });
      await startNext(raw);
      await raw.clock.advanceTime(1e9);
      expect(out.state).toBe('running');
    }));
});

describe('close() of a card that is not connected', () => {
  test('while it waits for a backend', () =>
    withRawCard('p', async (raw) => {
      const out = await play(raw, { reconnect: true });
      const closed = closing(out);
      await stop(raw);
      const leaving = raw.card.close();
      await raw.clock.advanceTime(3e9); // a backend may have bound what we had published
      await leaving;
      expect(await closed).toBeUndefined();
      const dom0 = await XenStoreClient.open(raw.machine.dom0);
      expect(await dom0.read(`${FRONTEND}/state`)).toBe('6');
      await dom0.close();
    }));

  test('a backend that was killed unnoticed is waited for once', () =>
    withRawCard('p', async (raw) => {
      await play(raw);
      raw.backend.answer = () => undefined;
      let isClosed = false;
      raw.card.close().then(() => {
        isClosed = true;
      });
      await raw.clock.advanceTime(2.9e9);
      expect(isClosed).toBe(false);
      await raw.clock.advanceTime(0.1e9);
      expect(isClosed).toBe(true);
    }));

  test.each([0, 1, 2, 3, 5, 8, 13, 21, 34])('%i turns after the backend has come back', async (turns) => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream({ ...TEN_PERIODS, reconnect: true });
    const closed = closing(out);
    await guest.backend.close();
    await guest.machine.settle();
    const next = await Backend.start(guest.machine.dom0, { deviceFor: () => guest.device });
    for (let turn = 0; turn < turns; turn++) await guest.machine.step();
    const leaving = card.close();
    await guest.clock.advanceTime(5e9);
    await leaving;
    expect(await closed).toBeUndefined();
    await next.close();
  });

  test.each([0, 1, 2, 3, 5, 8, 13])('%i turns after the loss', (turns) =>
    withRawCard('p', async (raw) => {
      await play(raw, { reconnect: true });
      await raw.backend.say(6);
      for (let turn = 0; turn < turns; turn++) await raw.machine.step();
      const closed = raw.card.close();
      await raw.clock.advanceTime(5e9);
      await closed;
    }),
  );

  test('while it waits for its next try', () =>
    withRawCard('p', async (raw) => {
      await raw.backend.close();
      const refusal = await refuse(raw, ['5', '6', '2']);
      await raw.clock.advanceTime(5.5e9);
      await raw.card.close();
      const { tries } = refusal;
      await raw.clock.advanceTime(5e9);
      expect(refusal.tries).toBe(tries);
      await refusal.end();
    }));
});

test('a card that waits does not hold the process; a stream that waits does', async () => {
  const program = (stream: string) => `
    import { openCard } from ${JSON.stringify(`${DIST}index.js`)};
    import { Backend, EmulatedMachine, createSoundCard, nullDevice } from ${JSON.stringify(`${DIST}testing.js`)};
    const machine = new EmulatedMachine();
    const guest = machine.createDomain();
    createSoundCard(machine, { frontendDomid: 1, pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }] });
    const backend = await Backend.start(machine.dom0, { deviceFor: () => nullDevice(machine.clock) });
    const card = await openCard({ hypervisor: guest, reconnect: true });
    ${stream}
    await backend.close();
    await machine.settle();
    console.log(card.connected, card.streams.length);
    setTimeout(() => console.log('held'), 1500).unref();
  `;
  const run = async (source: string) => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source]);
    let said = '';
    for (const output of [child.stdout, child.stderr]) {
      output.on('data', (text) => {
        said += text;
        if (said.includes('held')) child.kill();
      });
    }
    const [code] = await once(child, 'close');
    return { said: said.trim().split('\n'), code };
  };
  const stream = `card.createPlaybackStream(${JSON.stringify(TEN_PERIODS)}).write(Buffer.alloc(4000));`;
  const [idle, busy] = await Promise.all([run(program('')), run(program(stream))]);
  expect(idle).toEqual({ said: ['false 0'], code: 0 });
  expect(busy).toEqual({ said: ['false 1', 'held'], code: null });
});
