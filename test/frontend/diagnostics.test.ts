import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { FRAME, noise, TEN_PERIODS } from '../sound.ts';
import { closing, playUntil, startCard, withRawCard } from './setup.ts';

const CARD = '/local/domain/1/device/vsnd/0';
const STREAM = `${CARD}/0/0`;

const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** What is published on a channel from now on, until the end of the test. */
function listen(name: string): unknown[] {
  const messages: unknown[] = [];
  const note = (message: unknown) => void messages.push(message);
  subscribe(name, note);
  ends.push(() => unsubscribe(name, note));
  return messages;
}

describe('on the channels of node:diagnostics_channel', () => {
  test('vsnd:state: each step of the card’s table, and of the stream’s', async () => {
    const states = listen('vsnd:state');
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    out.end(noise(10 * FRAME));
    await playUntil(guest, once(out, 'close'));
    await card.close();
    const of = (path: string) =>
      (states as { path: string; from: string; event: string; to: string }[])
        .filter((message) => message.path === path)
        .filter(({ from, to }) => from !== to)
        .map(({ from, event, to }) => `${from} -${event}-> ${to}`);
    expect(of(CARD)).toEqual([
      'initialising -InitWait-> publishing',
      'publishing -published-> initialised',
      'initialised -Connected-> connected',
      'connected -leave-> closing',
      expect.stringMatching(/^closing -.*-> closed$/),
    ]);
    expect(of(STREAM)).toEqual([
      'closed -opened-> prepared',
      'prepared -end-> draining',
      'draining -played-> finished',
    ]);
    expect(Object.keys(states[0] as object)).toEqual(['path', 'from', 'event', 'to']);
  });

  test('vsnd:request and vsnd:response: what goes into the ring, and what comes out', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const requests = listen('vsnd:request');
      const responses = listen('vsnd:response');
      backend.answer = (request) => (request?.op === 'getVolume' ? { status: -22 } : {});
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.write(noise(900 * FRAME));
      await machine.settle();
      await out.getVolume().catch(() => {});
      expect(requests).toMatchObject([
        { path: STREAM, id: 0, request: { op: 'hwParamQuery' } },
        { path: STREAM, id: 1, request: { op: 'hwParamQuery' } },
        { path: STREAM, id: 2, request: { op: 'open', rate: 48_000, channels: 2, periodBytes: 400 } },
        { path: STREAM, id: 3, request: { op: 'write', offset: 0, length: 3600 } },
        { path: STREAM, id: 4, request: { op: 'trigger', trigger: 'start' } },
        { path: STREAM, id: 5, request: { op: 'getVolume', offset: 4000, length: 8 } },
      ]);
      expect(responses).toEqual(
        requests.map((message, id) => ({ ...(message as object), status: id === 5 ? -22 : 0 })),
      );
    }));

  test('vsnd:position: each event, as it was sent, whatever the stream makes of it', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const positions = listen('vsnd:position');
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.write(noise(900 * FRAME));
      await machine.settle();
      backend.sendPosition(400);
      backend.sendPosition(400, 7);
      backend.sendPosition(2n ** 64n - 1n);
      await machine.settle();
      expect(positions).toEqual([
        { path: STREAM, id: 0, position: 400n },
        { path: STREAM, id: 7, position: 400n },
        { path: STREAM, id: 8, position: 2n ** 64n - 1n },
      ]);
    }));

  test('a subscriber that throws is the program’s affair: the stream plays on', async () => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    for (const name of ['vsnd:request', 'vsnd:response', 'vsnd:position', 'vsnd:state']) {
      const fail = () => {
        throw new Error(name);
      };
      subscribe(name, fail);
      ends.push(() => unsubscribe(name, fail));
    }
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TEN_PERIODS);
    const closed = closing(out);
    out.end(noise(3000 * FRAME));
    expect(await playUntil(guest, closed)).toBeUndefined();
    await card.close();
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(new Set(thrown.map((error) => (error as Error).message)).size).toBe(4);
    expect(Buffer.from(guest.device.heard()).equals(noise(3000 * FRAME))).toBe(true);
  });

  test('without a subscriber no message is made', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const names = ['vsnd:request', 'vsnd:response', 'vsnd:position', 'vsnd:state'];
      const published: string[] = [];
      const channels = names.map((name) => channel(name));
      for (const [n, one] of channels.entries()) one.publish = () => void published.push(names[n] ?? '');
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.write(noise(900 * FRAME));
      await machine.settle();
      backend.sendPosition(400);
      await machine.settle();
      for (const one of channels) Reflect.deleteProperty(one, 'publish');
      expect([out.position, published]).toEqual([100, []]);
    }));
});
