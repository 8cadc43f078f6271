import { expect, test } from 'vitest';
import { guestLines } from '../../src/cli/monitor/guest-lines.ts';
import { PLAIN } from '../../src/cli/status-line.ts';
import type { BackendStatus } from '../../src/control/protocol.ts';
import { vsnd } from './run.ts';

const totals = { requests: 9, notifications: 7, idleNotifications: 0, frames: 96_000, xruns: 1 };

const status: BackendStatus = {
  pid: 12,
  cards: [
    {
      ...{ domid: 3, devid: 1, name: 'Radio\x1b[2J', connected: true },
      streams: [
        {
          ...{ type: 'playback', device: 0, stream: 0, target: 'alsa<hw:0;0>', totals },
          open: {
            ...{ rate: 48_000, channels: 2, format: 's16_le', state: 'running' },
            ...{ position: 96_000, latency: 4800, bufferFrames: 9600, xruns: 1 },
          },
        },
        { type: 'capture', device: 0, stream: 1, target: 'silence', totals },
      ],
    },
    { domid: 4, devid: 0, connected: false, streams: [] },
  ],
};

test('a line for each guest, and for each of its streams', () => {
  expect(guestLines(status, PLAIN)).toEqual([
    'backend, process 12',
    'guest 3, card 1, Radio?[2J',
    '  playback 0/0  running    0:02.0  buffer  50%  latency 100 ms  underruns 1  alsa<hw:0;0>',
    '  capture 0/1   not open  silence',
    'guest 4, card 0, not connected',
  ]);
});

test('in a narrow terminal, what does not fit is left out from the right', () => {
  for (let width = 20; width < 100; width++) {
    const lines = guestLines(status, { color: false, unicode: true }, width);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(width);
  }
});

test('without a guest', () => {
  expect(guestLines({ pid: 12, cards: [] }, PLAIN)).toEqual(['backend, process 12: no guest has a card']);
});

test('a card is not a backend', async () => {
  const stderr = 'vsnd: --backend and --card exclude each other; see vsnd monitor --help\n';
  expect(await vsnd(['monitor', '--backend', '--card', '0'])).toEqual({ status: 2, stdout: '', stderr });
});
