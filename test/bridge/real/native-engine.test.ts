import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { ProcessMachine } from '../../native/processes.ts';
import { noise, occurrences, writeRaw } from './sound.ts';
import { type HeadlessServer, REAL_TIME, startPipewire } from './sound-server.ts';

/** ms: in the card's buffer, a fifth of the time for which JavaScript is blocked. */
const LATENCY = 100;

const RATE = 48_000;
const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le'];

/** Xen's devices for the process with the card: both ends of it are there. */
function buildStandIn(): string {
  const file = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url));
  const built = file('native/build/stand-in.so');
  mkdirSync(file('native/build'), { recursive: true });
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', built, file('test/native/stand-in.c')]);
  return built;
}

const STAND_IN = buildStandIn();

interface Carried {
  /** How often. */
  readonly blocked: number;
  readonly slips: number;
  /** How often the card had nothing to play. */
  readonly dry: number;
}

/** Runs graph.js beside `use`, which is called when programs can use the card. */
async function carry(
  server: HeadlessServer,
  direction: 'sink' | 'source',
  use: () => Promise<void>,
  engine: 'native' | 'script' = 'native',
): Promise<Carried & { readonly heard: Buffer }> {
  const machine = await ProcessMachine.start();
  onTestFinished(() => machine.close());
  const heard = join(server.directory, 'heard.raw');
  const said = writeRaw(server.directory, 'said.raw', noise('s16_le', 2, 30 * RATE));
  const preload = [process.env['VSND_TEST_PRELOAD'], STAND_IN].filter((path) => path !== undefined).join(':');
  const env = { ...process.env, ...server.env, LD_PRELOAD: preload };
  let used: Promise<void> | undefined;
  const { lines, complaints, status } = await machine.run(
    'graph.js',
    [JSON.stringify({ direction, heard, said, latency: LATENCY, engine })],
    (line) => {
      if (line === 'ready') used = use();
    },
    env,
  );
  await used;
  expect({ complaints, status }).toEqual({ complaints: '', status: 0 });
  return { ...(JSON.parse(lines.at(-1) ?? '') as Carried), heard: readFileSync(heard) };
}

async function play(server: HeadlessServer, bytes: Uint8Array): Promise<void> {
  const file = writeRaw(server.directory, 'noise.raw', bytes);
  const [program = '', ...args] = [...REAL_TIME, 'paplay', ...RAW, '--device=card', file];
  await server.run(program, args);
}

test('a program plays on while JavaScript is blocked for 500 ms again and again: bit for bit', async () => {
  const server = await startPipewire();
  const bytes = noise('s16_le', 2, 6 * RATE);
  const { blocked, slips, dry, heard } = await carry(server, 'sink', () => play(server, bytes));
  expect(blocked).toBeGreaterThan(5);
  expect(slips).toBe(0);
  expect(dry).toBe(1); // at the end
  expect(occurrences(heard, bytes)).toBe(1);
});

test('where JavaScript carries the stream, it runs dry then', async () => {
  const server = await startPipewire();
  const bytes = noise('s16_le', 2, 3 * RATE);
  const { dry } = await carry(server, 'sink', () => play(server, bytes), 'script');
  expect(dry).toBeGreaterThan(1);
});

test('a program records on while JavaScript is blocked for 500 ms again and again: bit for bit', async () => {
  const server = await startPipewire();
  const file = join(server.directory, 'recorded.raw');
  const { blocked } = await carry(server, 'source', async () => {
    const recorder = ['parec', '-d', 'card.source', ...RAW, file];
    await server.run('timeout', ['6', ...REAL_TIME, ...recorder]).catch(() => {}); // which says 124
  });
  expect(blocked).toBeGreaterThan(5);
  const said = readFileSync(join(server.directory, 'said.raw'));
  const recorded = readFileSync(file);
  const start = recorded.indexOf(said.subarray(0, 64));
  expect(start).toBeGreaterThanOrEqual(0);
  const rest = recorded.subarray(start);
  expect(rest.length).toBeGreaterThan(2 * RATE * 4); // parec keeps 2 s to itself when it is ended
  expect(Buffer.compare(rest, said.subarray(0, rest.length))).toBe(0);
});
