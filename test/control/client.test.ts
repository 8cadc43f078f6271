import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ManualClock, RealClock } from '../../src/clock.ts';
import { ControlClient } from '../../src/control/client.ts';
import { LONGEST_ANSWER } from '../../src/control/protocol.ts';
import { useDirectory } from '../wav/files.ts';
import { fakeCard, serve } from './fake-card.ts';

const files = useDirectory();
const socketPath = () => files.path('vsnd/card.sock');

async function connectTo(path: string, clock = new ManualClock()): Promise<ControlClient> {
  const client = await ControlClient.connect(path, clock);
  onTestFinished(() => client.close());
  return client;
}

/** An owner that does what a test wants with each request, and a client of it. */
async function oddOwner(answer: (owner: Socket, request: { id: number }) => void, clock?: ManualClock) {
  const path = files.path('odd.sock');
  const server = createServer((owner) => {
    owner.on('error', () => {});
    owner.on('data', (line: Buffer) => answer(owner, JSON.parse(line.toString())));
    onTestFinished(() => void owner.destroy());
  });
  onTestFinished(() => void server.close());
  await once(server.listen(path), 'listening');
  return await connectTo(path, clock);
}

describe('with an owner', () => {
  test('gives what the methods give', async () => {
    const { card, playback } = fakeCard();
    await serve(card, socketPath());
    const client = await connectTo(socketPath());
    expect((await client.request('status', {})).streams).toMatchObject([{ xruns: 3 }, { xruns: 4 }]);
    expect(await client.request('setVolume', { type: 'playback', volume: -1 })).toEqual([
      { type: 'playback', device: 0, stream: 0 },
    ]);
    expect(playback.told).toEqual([['setVolume', -1]]);
  });

  test('may ask several things at once', async () => {
    const { card } = fakeCard();
    await serve(card, socketPath());
    const client = await connectTo(socketPath());
    const [status, volumes, mute] = await Promise.allSettled([
      client.request('status', {}),
      client.request('getVolume', { type: 'capture' }),
      client.request('mute', { device: 9 }),
    ]);
    expect(status).toMatchObject({ value: { pid: process.pid } });
    expect(volumes).toMatchObject({ value: [{ type: 'capture', volume: [-6, -6.5] }] });
    expect(mute).toMatchObject({ reason: { code: 'ERR_VSND_NO_STREAM' } });
  });

  test('hears at once that the card has been closed', async () => {
    const { card } = fakeCard();
    const server = await serve(card, socketPath());
    const client = await connectTo(socketPath());
    await client.request('status', {});
    await server.close();
    expect(client.ownerIsGone).toBe(false);
    await client.closed;
    expect(client.ownerIsGone).toBe(true);
    await expect(client.request('status', {})).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
      message: `the process behind ${socketPath()} has closed the card`,
    });
  });

  test('closing fails what has been asked, and leaves no timer', async () => {
    const clock = new ManualClock();
    const client = await oddOwner(() => {}, clock);
    const failed = expect(client.request('status', {})).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
    });
    await client.close();
    await failed;
    await client.close();
    expect([clock.pendingTimers, client.ownerIsGone]).toEqual([0, false]);
  });
});

describe('without one', () => {
  test.each([
    ['nothing there', () => files.path('none.sock'), 'ENOENT'],
    ['a file', () => files.put('file.sock', new Uint8Array(1)), 'ECONNREFUSED'],
  ])('%s', async (_, path, errno) => {
    await expect(ControlClient.connect(path(), new RealClock())).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      errno,
      message: expect.stringContaining(`cannot connect to ${path()}: `),
    });
  });
});

test.each(['', `/tmp/${'x'.repeat(103)}`])('a path that is none: %j', async (path) => {
  await expect(ControlClient.connect(path, new RealClock())).rejects.toMatchObject({
    code: 'ERR_VSND_INVALID_ARG',
    message: expect.stringMatching(/^the path of a control socket is ".*"; allowed: 1 to 107 bytes$/),
  });
});

describe('an owner that does not keep to the protocol', () => {
  const streams = [{ type: 'playback', device: 0, stream: 0 }];

  test.each<[string, (id: number) => string]>([
    ['no JSON', () => 'hello'],
    ['no object', () => '7'],
    ['neither result nor error', (id) => JSON.stringify({ id })],
    ['another id', (id) => JSON.stringify({ id: id + 1, result: streams })],
    ['no array', (id) => JSON.stringify({ id, result: {} })],
    ['a stream without a number', (id) => JSON.stringify({ id, result: [{ type: 'playback', device: 0 }] })],
    ['an odd volume', (id) => JSON.stringify({ id, result: [{ ...streams[0], volume: ['loud'] }] })],
    ['an odd error', (id) => JSON.stringify({ id, result: [{ ...streams[0], error: 'no' }] })],
    ['an error without a message', (id) => JSON.stringify({ id, error: { code: 'ERR_VSND_FILE' } })],
    ['a line that is too long', (id) => JSON.stringify({ id, result: streams }).padEnd(LONGEST_ANSWER + 1)],
  ])('%s is a protocol error', async (_, line) => {
    const client = await oddOwner((owner, { id }) => owner.write(`${line(id)}\n`));
    await expect(client.request('getVolume', {})).rejects.toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
  });

  test('half an answer is none', async () => {
    const client = await oddOwner((owner, { id }) => owner.end(JSON.stringify({ id, result: streams })));
    await expect(client.request('getVolume', {})).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
  });

  test('answers to nothing change nothing', async () => {
    const client = await oddOwner((owner, { id }) => {
      owner.write(`${JSON.stringify({ id, result: streams })}\n{"id":99,"result":[]}\n`);
    });
    expect(await client.request('getVolume', {})).toEqual(streams);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await client.request('getVolume', {})).toEqual(streams);
  });

  test('silence ends the connection after 5 s', async () => {
    const clock = new ManualClock();
    const client = await oddOwner(() => {}, clock);
    const failed = expect(client.request('status', {})).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
      message: `the process behind ${files.path('odd.sock')} does not answer`,
    });
    await clock.advanceTime(4.9e9);
    expect(clock.pendingTimers).toBe(1);
    await clock.advanceTime(0.1e9);
    await failed;
    await client.closed;
    expect([clock.pendingTimers, client.ownerIsGone]).toEqual([0, false]);
  });
});
