import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openAudio } from '../../src/audio.ts';
import { deferred } from '../../src/deferred.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { recordExample } from './run-example.ts';

const files = useDirectory();

const fixture = (name: string) => readFileSync(new URL(`../audio/fixtures/${name}`, import.meta.url));

/** MPEG frames one after the other, without anything around them, as a station sends them. */
const SONG = fixture('untagged.mp3');

/** Bytes between two titles. */
const INTERVAL = 1000;

/** A station on this machine; `answers`: what it does with the first request, the second and so on. Returns its address. */
async function startStation(answers: ((response: ServerResponse) => void)[]): Promise<string> {
  const server = createServer((_, response) => answers.shift()?.(response)).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** What a station sends that tells its titles. */
function withTitles(sound: Buffer, title: string): Buffer {
  const text = `StreamTitle='${title}';`;
  const block = Buffer.alloc(1 + 16 * Math.ceil(text.length / 16));
  block.writeUInt8((block.length - 1) / 16);
  block.write(text, 1);
  const parts: Buffer[] = [];
  for (let offset = 0; offset < sound.length; offset += INTERVAL) {
    const part = sound.subarray(offset, offset + INTERVAL);
    parts.push(part, ...(part.length < INTERVAL ? [] : [offset === 0 ? block : Buffer.alloc(1)]));
  }
  return Buffer.concat(parts);
}

async function decoded(bytes: Buffer): Promise<Buffer> {
  const source = await openAudio(Readable.from([bytes]));
  return await buffer(source.read());
}

/** Samples at a gain in dB, as the software volume makes them. */
function scaled(bytes: Buffer, decibels: number): number[] {
  const samples = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return Array.from(samples, (sample) => Math.round(sample * 10 ** (decibels / 20)));
}

describe('web-radio', () => {
  test('plays a station, waits for it when it is lost, and goes on when it is back', async () => {
    const { promise: dry, resolve: noteDry } = deferred();
    const address = await startStation([
      (response) => {
        response.writeHead(200, { 'icy-metaint': String(INTERVAL) });
        response.end(withTitles(SONG, 'First song'));
      },
      (response) => response.destroy(),
      (response) => void dry.then(() => response.write(Buffer.concat([SONG, SONG, SONG]))), // and waits for ever
    ]);
    const heard = files.path('heard.wav');
    const running = recordExample('web-radio/main.js', [address, '--buffer', '0.1'], heard, { fast: false });
    await running.said('again in 1 s');
    await running.said('buffering\n');
    noteDry();
    await running.said('playing\nbuffering\n');
    running.child.stdin?.write('q\n');
    const { status, stdout, stderr } = await running.ended();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const lines = stdout.replaceAll(address, 'URL').trimEnd().split('\n');
    expect(lines.filter((line) => line !== 'playing' && line !== 'buffering')).toEqual([
      'title: First song',
      'URL: MP3, 22050 Hz, 1 channels',
      'lost the station: it has ended; again in 0.5 s',
      'lost the station: other side closed; again in 1 s',
    ]);

    const song = await decoded(SONG);
    const { bytes } = await readAll(heard);
    const expected = Buffer.concat([song, await decoded(Buffer.concat([SONG, SONG, SONG]))]).subarray(
      0,
      bytes.length,
    );
    expect(bytes.length).toBeGreaterThan(3.9 * song.length); // of an MPEG frame without a successor nobody knows that it is one
    expect(bytes.equals(expected), 'every sample, in order, none twice').toBe(true);
  });

  test('plays a recording once, at a volume', async () => {
    const recording = fixture('noise16.flac');
    const address = await startStation([
      (response) => {
        response.writeHead(200, { 'content-length': String(recording.length) });
        response.end(recording);
      },
    ]);
    const heard = files.path('heard.wav');
    const running = recordExample('web-radio/main.js', [address, '--volume=-6'], heard);
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
    const { bytes } = await readAll(heard);
    const quiet = scaled(await decoded(recording), -6);
    expect(scaled(bytes, 0)).toEqual(quiet);
  });

  test('changes the volume while it plays', async () => {
    const address = await startStation([(response) => response.write(Buffer.concat([SONG, SONG]))]);
    const running = recordExample(
      'web-radio/main.js',
      [address, '--buffer', '0.2'],
      files.path('heard.wav'),
      {
        fast: false,
      },
    );
    await running.said('playing');
    running.child.stdin?.write('-\n-\n+\n');
    await running.said('volume -2 dB\nvolume -4 dB\nvolume -2 dB\n');
    running.child.kill('SIGINT');
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
  });

  test('what cannot be had is one clear line', async () => {
    const address = await startStation([
      (response) => response.writeHead(404).end(),
      (response) => response.end('<!doctype html>'),
    ]);
    const answers = [];
    for (const url of [address, address, 'radio']) {
      answers.push(await recordExample('web-radio/main.js', [url], files.path('heard.wav')).ended());
    }
    expect(answers.map(({ status }) => status)).toEqual([1, 1, 1]);
    expect(answers.map(({ stderr }) => stderr.replaceAll(address, 'URL'))).toEqual([
      'cannot play URL: 404 Not Found\n',
      expect.stringMatching(/^URL is no recording of a known kind[^\n]*\n$/),
      'the address is "radio"; allowed: http://..., https://...\n',
    ]);
  });
});
