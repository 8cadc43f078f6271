import { expect, onTestFinished, test } from 'vitest';
import { RealClock } from '../../src/clock.ts';
import { ControlClient } from '../../src/control/client.ts';
import { guestsMethod } from '../../src/control/guests.ts';
import type { BackendStatus } from '../../src/control/protocol.ts';
import { serveControl } from '../../src/control/server.ts';
import { useDirectory } from '../wav/files.ts';
import { ask } from './fake-card.ts';

const files = useDirectory();

const totals = { requests: 9, notifications: 7, idleNotifications: 0, frames: 100, xruns: 0 };

const status: BackendStatus = {
  pid: 12,
  cards: [
    {
      ...{ domid: 1, devid: 0, name: 'Radio', connected: true },
      streams: [
        { type: 'playback', device: 0, stream: 0, target: 'null', totals },
        {
          ...{ type: 'capture', device: 0, stream: 1, target: 'a sine', totals },
          open: {
            ...{ rate: 48_000, channels: 2, format: 's16_le', state: 'running' },
            ...{ position: 100, latency: 20, bufferFrames: 1000, xruns: 0 },
          },
        },
      ],
    },
  ],
};

async function serveBackend(now: BackendStatus = status): Promise<string> {
  const path = files.path('control/backend.sock');
  const server = await serveControl(
    guestsMethod(() => now),
    path,
  );
  onTestFinished(() => server.close());
  return path;
}

test('a backend tells of its guests', async () => {
  const client = await ControlClient.connect(await serveBackend(), new RealClock());
  expect(await client.request('guests', {})).toEqual(status);
  await expect(client.request('status', {})).rejects.toMatchObject({
    code: 'ERR_VSND_INVALID_ARG',
    message: 'method is "status"; allowed: guests',
  });
  await client.close();
});

test('what makes no sense is an error, and the next line counts again', async () => {
  const answers = await ask(
    await serveBackend(),
    { id: 1, method: 'guests', params: { domid: 1 } },
    { id: 2, method: 'guests' },
  );
  expect(answers).toEqual([
    { id: 1, error: { code: 'ERR_VSND_INVALID_ARG', message: 'a parameter is "domid"; allowed: none' } },
    { id: 2, result: status },
  ]);
});

test('an answer of another shape is not taken', async () => {
  const odd = { pid: 12, cards: [{ domid: 'one' }] } as unknown as BackendStatus;
  const client = await ControlClient.connect(await serveBackend(odd), new RealClock());
  await expect(client.request('guests', {})).rejects.toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
  await client.close();
});
