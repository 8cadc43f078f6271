import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { ManualClock } from '../../src/clock.ts';
import { serveMetrics } from '../../src/metrics/server.ts';
import { Running } from '../cli/run.ts';
import { useDirectory } from '../wav/files.ts';
import { bodyOf, GET, type LOOPBACK, scrape, serve } from './scraper.ts';

const files = useDirectory();

test('GET /metrics is answered, with the length and the type of what follows', async () => {
  const { address } = await serve();
  expect(await scrape(address)).toBe(
    'HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n' +
      'Content-Length: 12\r\nConnection: close\r\n\r\nopenmetrics\n',
  );
  const { host, port } = address as typeof LOOPBACK;
  const answer = await fetch(`http://${host}:${port}/metrics`, { headers: { accept: 'text/plain' } });
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await answer.text()).toBe('prometheus\n');
});

test('a request may come in any pieces, and its sender may have nothing more to say', async () => {
  const { address } = await serve();
  const socket = connect(address as typeof LOOPBACK);
  for (const letter of GET) await new Promise((resolve) => socket.write(letter, resolve));
  socket.end();
  const [answer] = await once(socket, 'data');
  expect(bodyOf(String(answer))).toBe('openmetrics\n');
});

test.each([
  ['GET / HTTP/1.1\r\n\r\n', '404 Not Found', ''],
  ['POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi', '405 Method Not Allowed', 'Allow: GET\r\n'],
  ['nonsense\r\n\r\n', '400 Bad Request', ''],
])('%j: %s', async (request, status, field) => {
  const { address } = await serve();
  expect(await scrape(address, request)).toBe(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${status.length + 36}\r\n` +
      `Connection: close\r\n${field}\r\n${status}: GET /metrics is all that there is\n`,
  );
});

test('what cannot be rendered is no news for a client', async () => {
  const { address } = await serve(() => {
    throw new Error('secret');
  });
  const answer = await scrape(address);
  expect(answer).toMatch(/^HTTP\/1\.1 500 Internal Server Error\r\n/);
  expect(answer).not.toContain('secret');
});

test('however many ask, it is rendered once a second', async () => {
  let count = 0;
  const { address, clock } = await serve(() => [`${++count}`, '\n']);
  const ask = async () => bodyOf(await scrape(address));
  expect(await Promise.all([ask(), ask(), ask()])).toEqual(['1\n', '1\n', '1\n']);
  await clock.advanceTime(0.99e9);
  expect(await ask()).toBe('1\n');
  await clock.advanceTime(0.01e9);
  expect(await ask()).toBe('2\n');
});

test('over IPv6', async () => {
  const { address } = await serve(undefined, { host: '::1', port: 0 });
  expect(bodyOf(await scrape(address))).toBe('openmetrics\n');
});

test('a socket is for this user alone, takes the place of a dead one, and goes at the end', async () => {
  const path = files.path('metrics.sock');
  const dead = new Running('node', [
    '-e',
    `net.createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
  ]);
  await dead.said('up');
  dead.child.kill('SIGKILL');
  await dead.ended();
  expect(lstatSync(path).isSocket()).toBe(true);
  const server = await serve(undefined, { path });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(bodyOf(await scrape({ path }))).toBe('openmetrics\n');
  await server.close();
  expect(existsSync(path)).toBe(false);
});

test('where it cannot listen, what is allowed is said', async () => {
  const path = files.path('metrics.sock');
  const { address } = await serve();
  const { port } = address as typeof LOOPBACK;
  await serve(undefined, { path });
  mkdirSync(files.path('public'));
  chmodSync(files.path('public'), 0o1777);
  writeFileSync(files.path('file'), '');
  const failures = await Promise.all(
    [
      address,
      { path },
      { path: files.path('file') },
      { path: files.path('none/none/metrics.sock') },
      { path: files.path('public/metrics.sock') },
      { host: '192.0.2.1', port: 0 },
    ].map((place) => serveMetrics(() => [], place, new ManualClock()).catch((error: unknown) => error)),
  );
  const at = `cannot serve metrics at unix:${files.path('')}/`;
  expect(failures).toMatchObject([
    {
      code: 'ERR_VSND_INVALID_ARG',
      message: `cannot serve metrics at http://127.0.0.1:${port}/metrics: that is in use; choose another one`,
    },
    { message: `${at}metrics.sock: that is in use; choose another one` },
    { message: `${at}file: that is in use; choose another one` },
    { message: `${at}none/none/metrics.sock: there is no such directory` },
    {
      code: 'ERR_VSND_INVALID_ARG',
      message: `${at}public/metrics.sock: the directory of a control socket is ${JSON.stringify(files.path('public'))}; allowed: one of this user alone, of mode 0700`,
    },
    {
      message:
        'cannot serve metrics at http://192.0.2.1:0/metrics: this machine has no such address; 127.0.0.1, [::1] and 0.0.0.0 are allowed on each',
    },
  ]);
  expect(lstatSync(files.path('file')).isFile()).toBe(true);
});

test('it does not hold the process, nor does whoever is connected', async () => {
  const script = `
    import { once } from 'node:events';
    import { connect } from 'node:net';
    import { RealClock } from './dist/clock.js';
    import { serveMetrics } from './dist/metrics/server.js';
    const { address } = await serveMetrics(() => [], { host: '127.0.0.1', port: 0 }, new RealClock());
    const client = connect(address);
    await once(client, 'connect');
    client.unref();
    console.log('connected');
  `;
  const child = new Running('node', ['--input-type=module', '-e', script]);
  expect(await child.ended()).toEqual({ status: 0, stdout: 'connected\n', stderr: '' });
});
