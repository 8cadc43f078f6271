import { chmodSync, existsSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { openRouter } from '../../src/backend/router.ts';
import { ManualClock, nextTurn } from '../../src/clock.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { openRequest } from '../backend/raw-frontend.ts';
import { useWorlds } from '../backend/world.ts';
import { useDirectory } from '../wav/files.ts';

const directory = useDirectory();
const createWorld = useWorlds();

test('to ask PulseAudio for its default source is one of the programs that a guest may have', async () => {
  const ran = directory.path('ran');
  chmodSync(directory.put('pactl', Buffer.from(`#!/bin/sh\n>${ran}\necho 'Default Source: mic'\n`)), 0o755);
  vi.stubEnv('PATH', `${directory.path('.')}:${process.env['PATH']}`);
  const router = await openRouter({
    routes: [],
    sink: undefined,
    source: undefined,
    clock: new ManualClock(),
  });
  const world = await createWorld({
    pcmDevices: [{ streams: [{ fields: { type: 'c', 'unique-id': 'pulse' } }] }],
    limits: ['programs=0'],
    deviceFor: router,
  });
  const channel = await world.guest.connectOne();
  channel.send(openRequest(await world.guest.createBuffer(8192)));
  let responses = channel.takeResponses();
  for (; responses.length === 0; responses = channel.takeResponses()) await nextTurn();
  expect(responses).toMatchObject([{ status: -XenErrno.EINVAL }]);
  expect(existsSync(ran)).toBe(false);
  vi.unstubAllEnvs();
});
