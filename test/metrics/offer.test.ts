import { afterEach, expect, test } from 'vitest';
import { parseBackendOptions, serveGuests } from '../../src/cli/backend.ts';
import { deferred } from '../../src/deferred.ts';
import { parseMetricsAddress } from '../../src/metrics/address.ts';
import { World } from '../backend/world.ts';
import { bodyOf, type LOOPBACK, scrape, serve } from './scraper.ts';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** `vsnd backend --metrics` in a world of its own, with what it says. */
async function startCommand(metrics: string) {
  const world = new World();
  const guest = await world.addGuest();
  ends.push(() => world.close());
  const lines: string[] = [];
  const serving = deferred();
  const say = (line: string) => {
    lines.push(line);
    if (line.includes(' serving ')) serving.resolve();
  };
  const stop = new AbortController();
  const ended = serveGuests(world.machine.dom0, parseBackendOptions({ metrics }), { say }, stop.signal);
  const end = async () => {
    stop.abort();
    await ended;
  };
  return { world, guest, lines, serving, ended, end };
}

test('vsnd backend --metrics answers from its first guest to its end', async () => {
  const { guest, lines, serving, end } = await startCommand('0');
  ends.push(end);
  await serving.promise;
  const [, place = ''] = /metrics at http:\/\/(\S+)\/metrics/.exec(lines.join('\n')) ?? [];
  const address = parseMetricsAddress(place);
  await guest.settle();
  expect(bodyOf(await scrape(address))).toContain('vsnd_card_connected{domid="1",devid="0"} 0\n');
  const [, after] = bodyOf(await scrape(address)).split('# TYPE vsnd_event_loop_worst_gap_seconds gauge\n');
  expect(after).toMatch(/^vsnd_build_info\{version="[\d.]+",node="[\d.]+"\} 1\n[\s\S]*# EOF\n$/m);
  await end();
  expect(await scrape(address)).toBe('');
});

test('an address that is in use ends it before any guest has heard of it', async () => {
  const { address } = await serve();
  const { port } = address as typeof LOOPBACK;
  const { guest, lines, ended } = await startCommand(String(port));
  await expect(ended).rejects.toThrow(
    `cannot serve metrics at http://127.0.0.1:${port}/metrics: that is in use; `,
  );
  expect(lines).toEqual([]);
  expect(await guest.backendState()).toBe('1');
});
