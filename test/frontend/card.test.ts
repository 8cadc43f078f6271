import { describe, expect, test } from 'vitest';
import { listCards, openCard } from '../../src/open-card.ts';
import {
  createSoundCard,
  EmulatedMachine,
  ManualClock,
  removeSoundCard,
  type TestGuest,
} from '../../src/testing.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { STEREO } from '../sound.ts';
import { IS_CARRIED, startCard, startGuest } from './setup.ts';

/** Collects what the guest's state node says, from now on; returns what ends that. */
async function followStates({ machine }: TestGuest, states: string[]): Promise<() => Promise<void>> {
  const path = '/local/domain/1/device/vsnd/0/state';
  const dom0 = await XenStoreClient.open(machine.dom0);
  await dom0.watch(path, async () => {
    const state = await dom0.read(path);
    if (state !== states.at(-1)) states.push(state);
  });
  await machine.settle();
  return () => dom0.close();
}

describe('openCard()', () => {
  test('connects, and says what XenStore says', async () => {
    const { guest, card } = await startCard({
      fields: {
        'short-name': 'VCard',
        'sample-rates': '44100,48000',
        'sample-formats': 's16_le',
        'channels-max': '2',
      },
    });
    expect(card.info).toMatchObject({
      devid: 0,
      path: '/local/domain/1/device/vsnd/0',
      backendDomid: 0,
      backendPath: '/local/domain/0/backend/vsnd/1/0',
      shortName: 'VCard',
      pcmDevices: [
        {
          index: 0,
          streams: [
            {
              index: 0,
              type: 'playback',
              rates: [44_100, 48_000],
              formats: ['s16_le'],
              channels: { min: 1, max: 2 },
            },
          ],
        },
      ],
    });
    const [listed] = await listCards({ hypervisor: guest.hypervisor });
    expect(listed).toMatchObject({ devid: 0, state: 'Connected', backendState: 'Connected' });
    await card.close();
    const [after] = await listCards({ hypervisor: guest.hypervisor });
    expect(after).toMatchObject({ state: 'Closed', backendState: 'InitWait' });
  });

  test('a second one fails with the owner’s pid, before it touches XenStore; after close() the card is free', async () => {
    const { guest, card } = await startCard();
    const watched: string[] = [];
    const { hypervisor } = guest;
    const spying = Object.create(hypervisor, {
      openXenStore: { value: () => Promise.reject(new Error(`XenStore was touched ${watched.push('x')}`)) },
      claim: { value: (device: string) => hypervisor.claim(device) },
      ref: { value: () => {} },
      unref: { value: () => {} },
    });
    await expect(openCard({ hypervisor: spying })).rejects.toMatchObject({
      code: 'ERR_VSND_CARD_BUSY',
      pid: process.pid,
      message: expect.stringContaining(String(process.pid)),
    });
    expect(watched).toEqual([]);
    await card.close();
    await (await openCard({ hypervisor: guest.hypervisor })).close();
  });

  test('two cards at once, each by its devid', async () => {
    const guest = await startGuest();
    createSoundCard(guest.machine, {
      frontendDomid: 1,
      devid: 3,
      pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
    });
    await guest.machine.settle();
    const first = await openCard({ hypervisor: guest.hypervisor });
    const second = await openCard({ hypervisor: guest.hypervisor, card: 3 });
    expect([first.info.devid, second.info.devid]).toEqual([0, 3]);
    await first.close();
    await second.close();
  });

  test('the first card is taken where that is not number 0', async () => {
    const guest = await startGuest();
    removeSoundCard(guest.machine, { frontendDomid: 1 });
    createSoundCard(guest.machine, {
      frontendDomid: 1,
      devid: 2,
      pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
    });
    await guest.machine.settle();
    const card = await openCard({ hypervisor: guest.hypervisor });
    expect(card.info.devid).toBe(2);
    await expect(openCard({ hypervisor: guest.hypervisor })).rejects.toMatchObject({
      code: 'ERR_VSND_CARD_BUSY',
    });
    await card.close();
  });

  test('no card at all, and no such card', async () => {
    const guest = await startGuest();
    await expect(openCard({ hypervisor: guest.hypervisor, card: 7 })).rejects.toMatchObject({
      code: 'ERR_VSND_NO_CARD',
      message: 'this guest has no sound card 7; it has 0',
    });
    removeSoundCard(guest.machine, { frontendDomid: 1 });
    await guest.machine.settle();
    await expect(openCard({ hypervisor: guest.hypervisor })).rejects.toMatchObject({
      code: 'ERR_VSND_NO_CARD',
      message: 'this guest has no sound card 0; it has none: see vsnd in xl.cfg',
    });
    expect(await listCards({ hypervisor: guest.hypervisor })).toEqual([]);
  });

  test.each([
    [{ card: -1 }, 'card is -1; allowed: a devid: a whole number from 0'],
    [{ card: 1.5 }, 'card is 1.5; allowed: a devid: a whole number from 0'],
    [{ timeout: 0 }, 'timeout is 0; allowed: more than 0 ms'],
  ])('bad options: %o', async (options, message) => {
    const guest = await startGuest();
    await expect(openCard({ hypervisor: guest.hypervisor, ...options })).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_ARG',
      message,
    });
  });

  test('a stream of which nobody knows whether it plays names node and value', async () => {
    const guest = await startGuest({ pcmDevices: [{ streams: [{ fields: { type: 'both' } }] }] });
    await expect(openCard({ hypervisor: guest.hypervisor })).rejects.toMatchObject({
      code: 'ERR_VSND_CONFIG',
      path: '/local/domain/1/device/vsnd/0/0/0/type',
      message: expect.stringContaining('"both"'),
    });
  });
});

describe('a backend that is not there, or does not come', () => {
  async function withoutBackend() {
    const clock = new ManualClock();
    const machine = new EmulatedMachine({ clock });
    const guest = machine.createDomain();
    createSoundCard(machine, { frontendDomid: 1, pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }] });
    const dom0 = await XenStoreClient.open(machine.dom0);
    const finish = async () => {
      await dom0.close();
      await machine.settle();
      machine.assertCleanedUp();
    };
    return { clock, machine, guest, dom0, finish };
  }
  const backendState = '/local/domain/0/backend/vsnd/1/0/state';

  test('no backend connects in time', async () => {
    const { clock, guest, finish } = await withoutBackend();
    const opening = expect(openCard({ hypervisor: guest, timeout: 2000 })).rejects.toMatchObject({
      code: 'ERR_VSND_BACKEND_GONE',
      message: expect.stringContaining(
        'within 2 s: /local/domain/0/backend/vsnd/1/0/state is Initialising (1)',
      ),
    });
    await clock.advanceTime(2e9);
    await opening;
    await finish();
  });

  /** Settles neither way: what a promise came to so far. */
  function outcomeOf(promise: Promise<unknown>): { code?: unknown; settled: boolean } {
    const outcome: { code?: unknown; settled: boolean } = { settled: false };
    promise.then(
      () => Object.assign(outcome, { settled: true }),
      ({ code }) => Object.assign(outcome, { settled: true, code }),
    );
    return outcome;
  }

  test.each(['timeout', 'signal'])(
    'the %s is told at once; what a backend may just have bound is kept for 3 s more',
    async (limit) => {
      const { clock, guest, machine, dom0, finish } = await withoutBackend();
      await dom0.write(backendState, '2');
      const abort = new AbortController();
      const outcome = outcomeOf(openCard({ hypervisor: guest, timeout: 2000, signal: abort.signal }));
      await clock.advanceTime(1e9);
      await dom0.write(backendState, '3');
      if (limit === 'timeout') await clock.advanceTime(1e9);
      if (limit === 'signal') abort.abort();
      await machine.settle();
      expect(outcome).toEqual({
        settled: true,
        code: limit === 'timeout' ? 'ERR_VSND_BACKEND_GONE' : 'ABORT_ERR',
      });
      expect(() => machine.assertCleanedUp()).toThrow(/claim of vsnd\/0/);
      await clock.advanceTime(2.9e9);
      expect(() => machine.assertCleanedUp()).toThrow(/claim of vsnd\/0/);
      await clock.advanceTime(0.2e9);
      await finish();
    },
  );

  test('who opens the card again meanwhile waits until it has been left, unless that is aborted', async () => {
    const { clock, guest, machine, dom0, finish } = await withoutBackend();
    await dom0.write(backendState, '2');
    const first = outcomeOf(openCard({ hypervisor: guest, timeout: 2000 }));
    await clock.advanceTime(2e9);
    expect(first.code).toBe('ERR_VSND_BACKEND_GONE');
    const abort = new AbortController();
    const impatient = outcomeOf(openCard({ hypervisor: guest, signal: abort.signal }));
    const patient = openCard({ hypervisor: guest });
    await clock.advanceTime(1e9);
    expect(impatient.settled).toBe(false);
    abort.abort();
    await machine.settle();
    expect(impatient.code).toBe('ABORT_ERR');
    await dom0.write(backendState, '2'); // as one that has read our 1
    await machine.settle();
    expect(await dom0.read('/local/domain/1/device/vsnd/0/state')).toBe('3');
    await dom0.write(backendState, '4');
    const card = await patient;
    const leaving = card.close();
    await machine.settle();
    await dom0.write(backendState, '6');
    await leaving;
    await finish();
  });

  test('its nodes are missing', async () => {
    const { guest, dom0, finish } = await withoutBackend();
    await dom0.remove('/local/domain/0/backend/vsnd/1/0');
    await expect(openCard({ hypervisor: guest })).rejects.toMatchObject({
      code: expect.stringMatching(/BACKEND_GONE|XENSTORE/),
    });
    await finish();
  });

  test('it refuses what was published', async () => {
    const { clock, guest, machine, dom0, finish } = await withoutBackend();
    await dom0.write(backendState, '2');
    const opening = expect(openCard({ hypervisor: guest })).rejects.toMatchObject({
      code: 'ERR_VSND_BACKEND_GONE',
      message:
        'the backend at /local/domain/0/backend/vsnd/1/0 went to Closing (5); ' +
        '/local/domain/1/device/vsnd/0/0/0/unique-id is missing, which many a backend needs',
    });
    await machine.settle();
    expect(await dom0.read('/local/domain/1/device/vsnd/0/state')).toBe('3');
    await dom0.write(backendState, '5');
    await clock.advanceTime(3e9); // it may just have bound what was published
    await opening;
    await finish();
  });

  test('an abort ends the wait, and leaves nothing', async () => {
    const { guest, machine, finish } = await withoutBackend();
    const abort = new AbortController();
    const opening = expect(openCard({ hypervisor: guest, signal: abort.signal })).rejects.toMatchObject({
      name: 'AbortError',
      code: 'ABORT_ERR',
    });
    await machine.settle();
    abort.abort();
    await opening;
    await finish();
  });

  test('a signal that was aborted before', async () => {
    const { guest, finish } = await withoutBackend();
    await expect(openCard({ hypervisor: guest, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORT_ERR',
    });
    await finish();
  });

  test('the stream’s nodes are published in one transaction, before state 3', async () => {
    const { guest, machine, dom0, finish } = await withoutBackend();
    const abort = new AbortController();
    const seen: string[] = [];
    const stream = '/local/domain/1/device/vsnd/0/0/0';
    await dom0.watch('/local/domain/1/device/vsnd/0/state', async () => {
      const state = await dom0.read('/local/domain/1/device/vsnd/0/state');
      seen.push(`${state}: ${(await dom0.directory(stream)).sort().join(' ')}`);
    });
    await dom0.write(backendState, '2');
    const opening = openCard({ hypervisor: guest, signal: abort.signal }).catch(() => {});
    await machine.settle();
    expect(seen.at(-1)).toBe('3: event-channel evt-event-channel evt-ring-ref ring-ref type');
    expect(seen.slice(0, -1).every((line) => line === '1: type')).toBe(true);
    abort.abort();
    await machine.settle();
    await dom0.write(backendState, '2');
    await opening;
    await finish();
  });

  test.each(['0', '2', '3', '4', '5', '6', '7', '8', 'odd'])('a predecessor left state %s', async (left) => {
    const guest = await startGuest();
    const dom0 = await XenStoreClient.open(guest.machine.dom0);
    await dom0.write('/local/domain/1/device/vsnd/0/state', left);
    await guest.machine.settle();
    const card = await openCard({ hypervisor: guest.hypervisor });
    await card.close();
    await dom0.close();
  });

  test('a process that died while connected: the next one gives its sound time to be played out', async () => {
    const fields = { 'sample-rates': '48000', 'sample-formats': 's16_le', 'channels-min': '2' };
    const guest = await startGuest({ fields }); // 64 KiB: 341 ms
    const first = guest.machine.startProcess(1);
    await openCard({ hypervisor: first });
    first.exit();
    await guest.machine.settle();
    const states: string[] = [];
    const stop = await followStates(guest, states);
    const opening = openCard({ hypervisor: guest.hypervisor });
    await guest.clock.advanceTime(0.34e9);
    expect(states).toEqual(['4']);
    await guest.clock.advanceTime(0.002e9);
    const card = await opening;
    expect(states).toEqual(['4', '1', '3', '4']);
    await card.close();
    await stop();
  });

  test('as long as that takes a signal ends the wait, and nothing has been touched', async () => {
    const guest = await startGuest(); // 64 KiB of 5512 Hz, 8 bits, mono: more than the 2 s that are waited at most
    const first = guest.machine.startProcess(1);
    await openCard({ hypervisor: first });
    first.exit();
    await guest.machine.settle();
    const states: string[] = [];
    const stop = await followStates(guest, states);
    const giveUp = new AbortController();
    const opening = openCard({ hypervisor: guest.hypervisor, signal: giveUp.signal });
    await guest.clock.advanceTime(1.9e9);
    giveUp.abort();
    await expect(opening).rejects.toMatchObject({ name: 'AbortError' });
    expect(states).toEqual(['4']);
    const again = openCard({ hypervisor: guest.hypervisor });
    await guest.clock.advanceTime(2e9);
    await (await again).close();
    await stop();
  });
});

describe('createPlaybackStream()', () => {
  test.each([
    [{ rate: 12_345 }, /^rate is 12345; allowed: 44100, 48000 \(Hz\)$/],
    [{ rate: Number.NaN }, /^rate is NaN/],
    [{ channels: 3 }, /^channels is 3; allowed: 1 to 2$/],
    [{ channels: 0 }, /^channels is 0/],
    [{ channels: 1.5 }, /^channels is 1.5/],
    [{ format: 's32_le' as const }, /^format is "s32_le"; allowed: s16_le, u8$/],
    [{ bufferFrames: 100_000 }, /^bufferFrames is 100000; allowed: 48 to 16320$/],
    [{ bufferFrames: 0 }, /^bufferFrames is 0/],
    [{ periodFrames: 10 }, /^periodFrames is 10; allowed: 48 \(1 ms\) to 8192$/],
    [{ bufferFrames: 1000, periodFrames: 1001 }, /^periodFrames is 1001; allowed: 48 \(1 ms\) to 1000$/],
    [
      { startThresholdFrames: 0 },
      /^startThresholdFrames is 0; allowed: a whole number of frames, at least 1$/,
    ],
    [{ device: 4 }, /^device is 4; allowed: 0$/],
    [{ stream: 9 }, /^stream is 9; allowed: 0$/],
  ])('%o is refused at once, with what is allowed', async (options, message) => {
    const { card } = await startCard({
      fields: { 'sample-rates': '44100,48000', 'sample-formats': 's16_le,u8', 'channels-max': '2' },
    });
    expect(() => card.createPlaybackStream({ ...STEREO, ...options })).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG', message: expect.stringMatching(message) }),
    );
    await card.close();
  });

  test('takes the first stream that takes the format, and any that is asked for', async () => {
    const { guest, card } = await startCard({
      pcmDevices: [
        { streams: [{ fields: { type: 'c' } }, { fields: { type: 'p', 'sample-rates': '8000' } }] },
        { streams: [{ fields: { type: 'p', 'sample-rates': '48000' } }] },
      ],
    });
    const out = card.createPlaybackStream(STEREO);
    expect(() => card.createPlaybackStream(STEREO)).toThrow(/rate is 48000; allowed: 8000/);
    expect(() => card.createPlaybackStream({ ...STEREO, device: 1 })).toThrow(/in use/);
    const other = card.createPlaybackStream({ ...STEREO, rate: 8000, device: 0, stream: 1 });
    await guest.machine.settle();
    expect([out.state, other.state]).toEqual(['prepared', 'prepared']);
    await card.close();
  });

  test('a card without playback streams says so', async () => {
    const { card } = await startCard({ pcmDevices: [{ streams: [{ fields: { type: 'c' } }] }] });
    expect(() => card.createPlaybackStream(STEREO)).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_NO_STREAM' }),
    );
    await card.close();
  });

  test('libxl’s names for float formats are taken', async () => {
    const { card } = await startCard({ fields: { 'sample-formats': 'f32_le,f64_be' } });
    expect(card.info.pcmDevices[0]?.streams[0]?.formats).toEqual(['float_le', 'float64_be']);
    expect(card.createPlaybackStream({ ...STEREO, format: 'f32_le' }).format).toBe('float_le');
    await card.close();
  });

  // Not over devices: what a guest may grant is the emulation's to say.
  test.skipIf(IS_CARRIED)('a guest that may grant too little is told so, and nothing is left', async () => {
    const guest = await startGuest();
    const poor = guest.machine.createDomain({ grantLimit: 3 });
    createSoundCard(guest.machine, {
      frontendDomid: poor.domid,
      pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
    });
    await guest.machine.settle();
    const card = await openCard({ hypervisor: poor });
    const out = card.createPlaybackStream(STEREO);
    const failure = await new Promise((resolve) => out.once('error', resolve));
    expect(failure).toMatchObject({ code: 'ERR_VSND_HYPERVISOR', errno: 'ENOSPC' });
    await card.close();
  });
});
