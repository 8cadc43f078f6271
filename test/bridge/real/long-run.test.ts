import { type EventEmitter, once } from 'node:events';
import { expect, test } from 'vitest';
import type { Bridge } from '../../../src/index.ts';
import { bridgeHere } from './bridge-here.ts';
import { openPlayingCard } from './playing-card.ts';
import { noise, writeRaw } from './sound.ts';
import { type HeadlessServer, startPipewire, startPulse } from './sound-server.ts';

/** s: `npm run test:bridge:long` plays for ten minutes. */
const SECONDS = Number(process.env['VSND_LONG_RUN_SECONDS'] ?? 12);
/** By how much the card's clock is off, ppm; nothing depends on how far it is. */
const PPM = process.env['VSND_LONG_RUN_PPM'];
const DEVIATIONS = (PPM === undefined ? [200, 3000] : [Number(PPM)]).flatMap((ppm) => [ppm, -ppm]);

const RATE = 48_000;
const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le', '--device=card'];

/** ms */
const LATENCY = 500;

/** The greatest latency that the bridge tells of until it is stopped. */
function followLatency(bridge: Bridge): () => number {
  let greatest = 0;
  const timer = setInterval(() => {
    greatest = Math.max(greatest, bridge.endpoints[0]?.statistics.latency ?? 0);
  }, 100);
  return () => {
    clearInterval(timer);
    return greatest;
  };
}

/** As most configurations have it, it suspends what nobody uses: its tunnel would keep the card for ever. */
async function startUsualPulse(): Promise<HeadlessServer> {
  const server = await startPulse();
  await server.pactl('load-module', 'module-suspend-on-idle', 'timeout=1');
  return server;
}

const SERVERS = [
  ['PulseAudio', startUsualPulse],
  ['PipeWire', startPipewire],
] as const;

test.each(SERVERS.flatMap(([name, start]) => DEVIATIONS.map((ppm) => ({ name, start, ppm }))))(
  '$name plays at the pace of a card that is off by $ppm ppm: bit-exact',
  async ({ name, start, ppm }) => {
    const server = await start();
    const playing = await openPlayingCard(ppm);
    const bridge = await bridgeHere(server, playing.card, { latency: LATENCY });
    const file = noise('s16_le', 2, SECONDS * RATE);
    const latency = followLatency(bridge);
    await server.run('paplay', [...RAW, writeRaw(server.directory, 'noise.raw', file)]);
    const greatest = latency();
    await once(bridge as EventEmitter, 'stop');
    expect(bridge.endpoints[0]?.statistics).toMatchObject({ xruns: 0, slips: 0 });
    const heard = Buffer.concat(playing.takes.flat());
    const first = heard.indexOf(file.subarray(0, 64));
    expect(first).toBeGreaterThanOrEqual(0);
    expect(Buffer.compare(heard.subarray(first, first + file.length), file)).toBe(0);
    expect(greatest).toBeLessThanOrEqual(LATENCY + 1);
    console.log(`${name}, ${ppm} ppm, ${SECONDS} s: bit-exact, latency at most ${greatest.toFixed(0)} ms`);
  },
  (SECONDS + 60) * 1000,
);
