import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openAudio } from '../../src/audio/open-audio.ts';
import { openWeb, openWebAudio } from '../../src/audio/web-audio.ts';
import { ManualClock, nextTurn } from '../../src/clock.ts';
import { deferred } from '../../src/deferred.ts';
import { stepUntilSettled } from '../waits.ts';
import { fixture } from './contents.ts';

/** MPEG frames one after the other, without anything around them, as a station sends them. */
const SONG = readFileSync(fixture('untagged.mp3'));
const RECORDING = readFileSync(fixture('noise16.flac'));
const STATION = { 'content-type': 'audio/mpeg', 'icy-name': 'Radio' };

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** A server on this machine; `answers`: what it does with the first request, the second and so on. Returns its address. */
async function startServer(...answers: Answer[]): Promise<string> {
  const server = createServer((request, response) => {
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    answer?.(response, request);
  });
  server.listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const file = (bytes: Buffer, headers = {}): Answer => {
  return (response) => response.writeHead(200, { 'content-length': bytes.length, ...headers }).end(bytes);
};

const list = (text: string, type = 'audio/x-mpegurl'): Answer => {
  return (response) => response.writeHead(200, { 'content-type': type }).end(text);
};

async function decoded(bytes: Buffer): Promise<Buffer> {
  return await buffer((await openAudio(Readable.from([bytes]))).read());
}

/** Time passes as soon as somebody waits for it. */
class HastyClock extends ManualClock {
  readonly waits: number[] = [];

  override after(delay: number, callback: () => void) {
    const timer = super.after(delay, callback);
    // That of silence is cancelled when something comes.
    if (delay === 10e9) return timer;
    this.waits.push(delay / 1e9);
    void this.advanceTime(delay);
    return timer;
  }
}

describe('a recording', () => {
  test('is read once, to its end', async () => {
    const source = await openWebAudio(await startServer(file(RECORDING)));
    expect(source).toMatchObject({ kind: 'FLAC', isSeekable: false, isStation: false, station: undefined });
    expect((await buffer(source.read())).equals(await decoded(RECORDING))).toBe(true);
    expect(() => source.read()).toThrow('has been read already');
    await source.close();
  });

  test('goes on where its server was lost, byte by byte', async () => {
    const ranges: (string | undefined)[] = [];
    const lost: string[] = [];
    const middle = 3000;
    const address = await startServer(
      (response) => {
        response.writeHead(200, { 'content-length': RECORDING.length });
        response.write(RECORDING.subarray(0, middle), () => response.destroy());
      },
      (response, { headers }) => {
        ranges.push(headers.range);
        response.writeHead(206, { 'content-length': RECORDING.length - middle });
        response.end(RECORDING.subarray(middle));
      },
    );
    const clock = new HastyClock();
    const onLost = (reason: string, seconds: number) => lost.push(`${reason}, ${seconds}`);
    const source = await openWebAudio(address, { clock, onLost });
    expect((await buffer(source.read())).equals(await decoded(RECORDING))).toBe(true);
    expect(ranges).toEqual([`bytes=${middle}-`]);
    expect(lost).toEqual(['other side closed, 0.5']);
  });

  test('that a server begins anew is not heard twice', async () => {
    const address = await startServer((response) => {
      response.writeHead(200, { 'content-length': RECORDING.length });
      response.write(RECORDING.subarray(0, 3000), () => response.destroy());
    }, file(RECORDING));
    const source = await openWebAudio(address, { clock: new HastyClock() });
    expect((await buffer(source.read())).equals(await decoded(RECORDING))).toBe(true);
  });

  test('whose server does not come back has failed, after pauses that grow', async () => {
    const address = await startServer(
      (response) => {
        response.writeHead(200, { 'content-length': RECORDING.length });
        response.write(RECORDING.subarray(0, 3000), () => response.destroy());
      },
      (response) => response.writeHead(503).end(),
    );
    const clock = new HastyClock();
    const played = openWebAudio(address, { clock }).then((source) => buffer(source.read()));
    await expect(played).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      message: `cannot read ${address}: 503 Service Unavailable`,
    });
    expect(clock.waits).toEqual([0.5, 1, 2, 4, 8, 16]);
  });
});

describe('a station', () => {
  test('is waited for when it is lost, with pauses that grow up to 30 s', async () => {
    const show = Buffer.concat([SONG, SONG, SONG]); // enough for a reserve
    const gone: Answer = (response) => response.destroy();
    const address = await startServer(
      (response) => response.writeHead(200, STATION).end(SONG),
      ...new Array<Answer>(8).fill(gone),
      (response) => response.writeHead(200, STATION).write(show), // and waits for ever
    );
    const clock = new HastyClock();
    const source = await openWebAudio(address, { clock });
    expect(source).toMatchObject({ isStation: true, station: 'Radio', frames: undefined });
    const song = await decoded(SONG);
    let heard = Buffer.alloc(0);
    for await (const piece of source.read()) {
      heard = Buffer.concat([heard, piece]);
      if (heard.length > 1.5 * song.length) break;
    }
    expect(heard.equals(Buffer.concat([song, await decoded(show)]).subarray(0, heard.length))).toBe(true);
    expect(clock.waits).toEqual([0.5, 1, 2, 4, 8, 16, 30, 30, 30]);
    await source.close();
  });

  test('tells its titles once each, with quotes in them, and whatever bytes they are', async () => {
    const interval = 1000;
    const titles = [`It's; "so"`, `It's; "so"`, '', 'Ende gut\x1b[2J', 'Caf\xe9'];
    const blocks = titles.map((title) => {
      const text = title === '' ? '' : `StreamTitle='${title}';StreamUrl='';`;
      const block = Buffer.alloc(1 + 16 * Math.ceil(text.length / 16));
      block.writeUInt8((block.length - 1) / 16);
      block.write(text, 1, 'latin1');
      return block;
    });
    const sound = Buffer.concat([SONG, SONG]);
    const bytes = Buffer.concat(
      Array.from({ length: Math.ceil(sound.length / interval) }, (_, index) => {
        const part = sound.subarray(index * interval, (index + 1) * interval);
        return Buffer.concat(
          [part, part.length < interval ? '' : (blocks[index] ?? Buffer.alloc(1))].map(Buffer.from),
        );
      }),
    );
    const address = await startServer(async (response) => {
      response.writeHead(200, { ...STATION, 'icy-metaint': interval });
      for (const byte of bytes.subarray(0, 1100)) response.write(Buffer.of(byte)); // titles come in pieces, too
      response.write(bytes.subarray(1100));
    });
    const told: string[] = [];
    const source = await openWebAudio(address, { onTitle: (title) => told.push(title) });
    const song = await decoded(SONG);
    const { value: first } = await source.read()[Symbol.asyncIterator]().next();
    await source.close();
    expect(told).toEqual([`It's; "so"`, 'Ende gut\x1b[2J', 'Caf\xe9']);
    expect(song.subarray(0, first?.length).equals(first ?? song)).toBe(true);
  });
});

describe('a playlist of a server’s', () => {
  test('names addresses, seen from where it is', async () => {
    const address = await startServer(list('#EXTM3U\n/one.mp3\nhttp://example.org/two\n'));
    expect(await openWeb(address)).toEqual([`${address}one.mp3`, 'http://example.org/two']);
  });

  test.each([
    ['its type', '[playlist]\nFile1=a\n', 'audio/x-scpls', ''],
    ['its first words', '[Playlist]\nFile1=a\n', 'application/byte-stream', ''],
    ['its name', 'a\n', 'text/plain', 'radio.m3u'],
  ])('is known by %s', async (_, text, type, name) => {
    const address = await startServer(list(text, type));
    expect(await openWeb(`${address}${name}`)).toEqual([`${address}a`]);
  });

  test('the first address in it that can be opened counts', async () => {
    const address = await startServer(
      list('gone\nhere\n'),
      (response) => response.writeHead(404).end(),
      file(RECORDING),
    );
    const source = await openWebAudio(address);
    expect(source.name).toBe(`${address}here`);
    await source.close();
  });

  test.each([
    ['itself', '#EXTM3U\n/\n', /^the playlist http.* names itself$/],
    [
      'a file of this machine',
      '#EXTM3U\nfile:///etc/passwd\n',
      / names "file:\/\/\/etc\/passwd"; allowed: http and https$/,
    ],
    [
      'the parts of HLS',
      '#EXTM3U\n#EXT-X-TARGETDURATION:6\na.ts\n',
      / is HLS, .*ffmpeg -i http:.* -f wav - \| vsnd play -$/,
    ],
    ['nothing', '#EXTM3U\n', / is a playlist that names nothing$/],
    [
      'more than there can be',
      `#EXTM3U\n${'x'.repeat(1 << 21)}`,
      / is no playlist: it has more than 1048576 bytes$/,
    ],
  ])('that names %s is refused', async (_, text, message) => {
    const address = await startServer(list(text));
    await expect(openWebAudio(address)).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      message: expect.stringMatching(message),
    });
  });
});

describe('what cannot be had is one error', () => {
  test.each<[string, Answer, RegExp]>([
    ['an answer that is none', (response) => response.writeHead(404).end(), /: 404 Not Found$/],
    ['a page', (response) => response.end('<!doctype html>'), / is no recording of a known kind/],
    ['nothing', (response) => response.end(), / is empty/],
    ['a connection that breaks', (response) => response.destroy(), /: other side closed$/],
    [
      'a loop of redirections',
      (response) => response.writeHead(302, { location: '/' }).end(),
      /: redirect count exceeded$/,
    ],
    [
      'headers without end',
      (response) => response.writeHead(200, { 'x-large': 'x'.repeat(200_000) }).end(),
      /: Headers Overflow Error$/,
    ],
  ])('%s', async (_, answer, message) => {
    const address = await startServer(answer);
    await expect(openWebAudio(address)).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      message: expect.stringMatching(message),
    });
  });

  test('a server that says nothing', async () => {
    const clock = new ManualClock();
    const reached = deferred();
    const address = await startServer(() => reached.resolve());
    const opened = openWebAudio(address, { clock });
    await reached.promise;
    await clock.advanceTime(10e9);
    await expect(opened).rejects.toThrow(`cannot play ${address}: nothing has come for 10 s`);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a server that says nothing any more', async () => {
    const clock = new ManualClock();
    const address = await startServer((response) => response.writeHead(200, STATION).write('<'));
    const opened = stepUntilSettled(openWebAudio(address, { clock }), async () => {
      await nextTurn();
      await clock.advanceTime(1e9);
    });
    await expect(opened).rejects.toThrow('nothing has come for 10 s');
  });

  test.each(['radio', 'ftp://example.org/', 'http://', 'file:///etc/passwd'])(
    'the address %s',
    async (address) => {
      await expect(openWebAudio(address)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG' });
    },
  );

  test('what is stopped', async () => {
    const stop = new AbortController();
    const address = await startServer(() => stop.abort());
    await expect(openWebAudio(address, { signal: stop.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
