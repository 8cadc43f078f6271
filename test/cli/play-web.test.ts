import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { openAudio } from '../../src/audio/open-audio.ts';
import { fixture } from '../audio/contents.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { start } from './run.ts';

const files = useDirectory();
const RECORDING = readFileSync(fixture('noise16.flac'));
const SONG = readFileSync(fixture('untagged.mp3'));

/** A server on this machine: what it does with a path. Returns its address, without the last /. */
async function startServer(answers: Record<string, (response: ServerResponse) => void>): Promise<string> {
  const server = createServer(({ url = '' }, response) => {
    const answer = answers[url] ?? (() => response.writeHead(404).end());
    answer(response);
  });
  server.listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const recording = (response: ServerResponse) => response.end(RECORDING);

function play(...args: string[]) {
  return start(['play', '--emulate', '--fast', ...args]);
}

test('a recording of a server, and a playlist of it, are played as files are', async () => {
  const address = await startServer({
    '/list': (response) =>
      response.writeHead(200, { 'content-type': 'audio/x-scpls' }).end('[playlist]\nFile1=a.flac\n'),
    '/a.flac': recording,
  });
  const heard = files.path('heard.wav');
  const running = play(
    '--sink',
    `wav:${heard}`,
    `${address}/a.flac`,
    `${address}/list`,
    fixture('noise16.flac'),
  );
  const { status, stderr, stdout } = await running.ended();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const source = await openAudio(fixture('noise16.flac'));
  const frames = source.frames ?? 0;
  await source.close();
  expect((await readAll(heard)).frames).toBe(3 * frames);
  expect(stdout.match(/^playing http:\S+a\.flac: /gm)).toHaveLength(2);
});

test('a station: its name, its titles without what commands a terminal, and Ctrl-C', async () => {
  const title = Buffer.from("\x02StreamTitle='Lied\x1b[2J\n';".padEnd(33, '\0'));
  const address = await startServer({
    '/': (response) => {
      response.writeHead(200, { 'icy-name': 'Radio Anna', 'icy-metaint': '1000' });
      response.write(
        Buffer.concat([SONG.subarray(0, 1000), title, SONG.subarray(1000, 2000), Buffer.alloc(1)]),
      );
      const more = Buffer.concat([SONG, SONG, SONG, SONG]);
      for (let at = 0; at + 1000 <= more.length; at += 1000) {
        response.write(Buffer.concat([more.subarray(at, at + 1000), Buffer.alloc(1)]));
      }
    },
  });
  const running = start(['play', '--emulate', '--sink', 'null', `${address}/`]);
  await running.said('title: Lied?[2J?\n');
  await running.said(`playing ${address}/, Radio Anna: float_le, 22050 Hz, 1 channel`);
  running.child.kill('SIGINT');
  const { status, stderr } = await running.ended();
  expect({ status, stderr }).toEqual({ status: 130, stderr: '' });
});

test.each(['before it answers', 'in the middle of its headers', 'before its sound'])(
  'Ctrl-C while a server hangs %s',
  async (when) => {
    let reached = () => {};
    const asked = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const address = await startServer({
      '/': (response) => {
        if (when === 'in the middle of its headers') response.socket?.write('HTTP/1.1 200 OK\r\nX-a');
        if (when === 'before its sound') response.writeHead(200).flushHeaders();
        reached();
      },
    });
    const running = play('--sink', 'null', `${address}/`);
    await asked;
    running.child.kill('SIGINT');
    expect(await running.ended()).toEqual({ status: 130, stdout: '', stderr: '' });
  },
);

test('what cannot be had is one line, and the rest is played', async () => {
  const address = await startServer({
    '/loop': (response) => response.writeHead(302, { location: '/loop' }).end(),
    '/a.flac': recording,
  });
  const running = play(
    '--sink',
    'null',
    `${address}/none`,
    `${address}/loop`,
    'http://',
    `${address}/a.flac`,
  );
  const { status, stdout, stderr } = await running.ended();
  expect(status).toBe(1);
  expect(stderr.replaceAll(address, 'SERVER')).toBe(
    [
      'vsnd: cannot play SERVER/none: 404 Not Found',
      'vsnd: cannot play SERVER/loop: redirect count exceeded',
      'vsnd: the address is "http://"; allowed: http://..., https://...',
      '',
    ].join('\n'),
  );
  expect(stdout).toContain('a.flac: s16_le');
});
