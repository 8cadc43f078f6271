import { once } from 'node:events';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextTurn } from '../../src/clock.ts';
import type { MetricsAddress } from '../../src/metrics/address.ts';
import { backendMetrics } from '../../src/metrics/backend-metrics.ts';
import { formatMetrics } from '../../src/metrics/exposition.ts';
import { removeDomain } from '../../src/xen/emulated/toolstack.ts';
import { CAPTURE, PLAYBACK, useWorlds, type World } from '../backend/world.ts';
import { bodyOf, GET, Scraper, scrape, serve } from '../metrics/scraper.ts';
import { stepUntilSettled } from '../waits.ts';

const startWorld = useWorlds();

/** So many clients that stay, each connected. */
async function connectClients(address: MetricsAddress, count: number, text: string) {
  const clients = Array.from({ length: count }, () => new Scraper(address, text));
  await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
  return clients;
}

function textOf({ backend }: World): string {
  return [...formatMetrics(backendMetrics(backend), 'openmetrics')].join('');
}

/** Names and labels, without the values. */
function seriesOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/ \S+$/, ''));
}

test('half requests keep nobody out, and are hung up on after ten seconds', async () => {
  const { clock, address } = await serve();
  const clients = await connectClients(address, 16, GET.slice(0, -2));
  expect(bodyOf(await scrape(address))).toBe('openmetrics\n');
  expect(bodyOf(await scrape(address))).toBe('openmetrics\n');
  await clock.advanceTime(10e9);
  expect(await Promise.all(clients.map((client) => client.heard()))).toEqual(Array(16).fill(''));
});

test('who does not read is hung up on, and holds up nobody meanwhile', async () => {
  let rendered = 0;
  const { clock, address } = await serve(() => {
    rendered += 1;
    return ['x'.repeat(16 << 20)];
  });
  const slow = await connectClients(address, 15, GET);
  for (const { socket } of slow) socket.pause();
  expect(bodyOf(await scrape(address))).toHaveLength(16 << 20);
  expect(rendered).toBe(1);
  await clock.advanceTime(10e9);
  for (const { socket } of slow) socket.resume();
  for (const client of slow) expect((await client.heard()).length).toBeLessThan(16 << 20);
});

test('a head without end is refused, and who goes on is hung up on', async () => {
  const { address } = await serve();
  expect(await scrape(address, `GET /metrics HTTP/1.1\r\nX: ${'x'.repeat(8192)}`)).toMatch(
    /^HTTP\/1\.1 431 /,
  );
  expect(await scrape(address, `${'X: y\r\n'.repeat(1 << 20)}`)).toMatch(/^(HTTP\/1\.1 431 |$)/);
  expect(bodyOf(await scrape(address))).toBe('openmetrics\n');
});

test('of a thousand requests in one piece the first is answered, the others are not looked at', async () => {
  const { address } = await serve();
  const answer = await scrape(address, GET.repeat(100));
  expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
  expect((await scrape(address, GET.repeat(1000))).match(/HTTP\/1\.1/g)?.length ?? 0).toBeLessThanOrEqual(1);
});

test('of a thousand clients at once some are answered, none is kept, and it is rendered once', async () => {
  let rendered = 0;
  const { address } = await serve((format) => {
    rendered += 1;
    return [`${format}\n`];
  });
  const answers = await Promise.all(Array.from({ length: 1000 }, () => scrape(address)));
  const served = answers.filter((answer) => answer !== '');
  expect(served.length).toBeGreaterThan(0);
  for (const answer of served) expect(bodyOf(answer)).toBe('openmetrics\n');
  expect(rendered).toBe(1);
  expect(bodyOf(await scrape(address))).toBe('openmetrics\n');
});

test('a page of a hundred pieces is made in as many turns: sound does not wait for a scrape', async () => {
  const turns: number[] = [];
  let turn = 0;
  const { address } = await serve(function* () {
    for (let piece = 0; piece < 100; piece++) {
      turns.push(turn);
      yield 'x\n';
    }
  });
  const answer = scrape(address);
  await stepUntilSettled(answer, async () => {
    await nextTurn();
    turn++;
  });
  expect(bodyOf(await answer)).toHaveLength(200);
  expect(new Set(turns).size).toBe(100);
});

test('whatever is sent, the answer is one of a few', async () => {
  const { address } = await serve();
  const piece = fc.constantFrom(
    'GET',
    ' ',
    '/metrics',
    'HTTP/1.1',
    '\r\n',
    '\r\n\r\n',
    'Accept:',
    '\0',
    'é',
    ':',
  );
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
  const property = fc.asyncProperty(text, async (said) => {
    const client = new Scraper(address, said);
    client.socket.end();
    expect(await client.heard()).toMatch(/^HTTP\/1\.1 (200|400|404|405) /);
  });
  await fc.assert(property, { numRuns: 100 });
});

test('a guest that connects 300 times, each time as another, has the series of one', async () => {
  const world = await startWorld({ pcmDevices: [{ streams: [PLAYBACK, CAPTURE] }] });
  const seen = new Set<string>();
  /** Connects as one more frontend of the guest, with other names; leaves again. */
  const visit = async (round: number) => {
    const frontend = await world.frontend(1);
    const { path, xenstore } = frontend;
    await xenstore.write(`${path}/long-name`, `name ${round}`);
    await xenstore.write(`${path}/0/0/unique-id`, `name ${round}`);
    await xenstore.write(`${path}/0/0/type`, round % 2 === 0 ? 'p' : 'c');
    await frontend.connect(['0/0', '0/1']);
    const text = textOf(world);
    expect(text).toContain('vsnd_card_connected{domid="1",devid="0"} 1\n');
    const series = seriesOf(text);
    expect(new Set(series).size).toBe(series.length);
    for (const one of series) seen.add(one);
    await frontend.setState('1');
    await frontend.release();
  };
  for (let round = 0; round < 2; round++) await visit(round);
  const { size } = seen;
  for (let round = 2; round < 300; round++) await visit(round);
  expect(seen.size).toBe(size);
});

test('what a guest has written is in no label', async () => {
  const written = { fields: { type: 'p', 'unique-id': 'zebra"}\n# EOF' } };
  const world = await startWorld({
    fields: { 'long-name': 'zebra', 'short-name': 'zebra' },
    pcmDevices: [{ streams: [written] }],
  });
  await world.guest.connectOne();
  const text = textOf(world);
  expect(text).toContain('vsnd_card_connected{domid="1",devid="0"} 1\n');
  expect(text).not.toContain('zebra');
});

test('the series of a guest that has gone vanish: its streams at once, its limits when they are forgotten', async () => {
  const world = await startWorld();
  await world.guest.connectOne();
  expect(textOf(world)).toMatch(/^vsnd_stream_frames_total\{domid="1",/m);
  removeDomain(world.machine, 1);
  await world.machine.settle();
  expect(textOf(world)).not.toMatch(/^vsnd_(stream|card)\w+\{/m);
  await world.clock.advanceTime(600e9);
  expect(textOf(world)).not.toContain('domid="1"');
});
