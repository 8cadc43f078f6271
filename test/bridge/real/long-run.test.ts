import { type EventEmitter, once } from 'node:events';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type Bridge, type Card, createBridge } from '../../../src/index.ts';
import { openPlayingCard } from './playing-card.ts';
import { noise, writeRaw } from './sound.ts';
import { type HeadlessServer, hurryProcess, startPipewire, startPulse } from './sound-server.ts';

/** s: `npm run test:bridge:long` plays for ten minutes. */
const SECONDS = Number(process.env['VSND_LONG_RUN_SECONDS'] ?? 30);
/** By how much the card's clock is off: more in a short run, or it would show nothing. */
const PPM = Number(process.env['VSND_LONG_RUN_PPM'] ?? 1000);

const RATE = 48_000;
const FRAME_BYTES = 4;
const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le', '--device=card'];

/** ms */
const LATENCY = 500;

/** A bridge in this process, which is given the server's environment. */
async function bridgeTo(server: HeadlessServer, card: Card): Promise<Bridge> {
  for (const name of [
    'XDG_RUNTIME_DIR',
    'HOME',
    'VSND_CONTROL_DIR',
    'PULSE_SERVER',
    'DBUS_SESSION_BUS_ADDRESS',
  ]) {
    vi.stubEnv(name, server.env[name]);
  }
  // The bridge and the card are here: what is shown must not depend on how busy the machine is.
  await hurryProcess(process.pid, 10);
  const bridge = await createBridge(card, { name: 'card', source: false, latency: LATENCY });
  onTestFinished(async () => {
    await bridge.close();
    vi.unstubAllEnvs();
  });
  return bridge;
}

/** ms, PipeWire's at that latency: the dead band is as wide, and a correction takes hold within as much again. */
const QUANTUM = (1024 / RATE) * 1000;

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

/** Of PulseAudio nothing depends on how far it is off. */
const PULSE_PPM = process.env['VSND_LONG_RUN_PPM'] === undefined ? [200, -200, 3000, -3000] : [PPM, -PPM];

test.each(PULSE_PPM)(
  'PulseAudio plays at the pace of a card that is off by %i ppm: bit-exact',
  async (ppm) => {
    const server = await startPulse();
    const playing = await openPlayingCard(ppm);
    const bridge = await bridgeTo(server, playing.card);
    const file = noise('s16_le', 2, SECONDS * RATE);
    const latency = followLatency(bridge);
    await server.run('paplay', [...RAW, writeRaw(server.directory, 'noise.raw', file)]);
    const greatest = latency();
    await once(bridge as EventEmitter, 'stop');
    expect(bridge.endpoints[0]?.statistics).toMatchObject({ xruns: 0, slips: 0 });
    const heard = Buffer.concat(playing.takes[0] ?? []);
    const start = heard.indexOf(file.subarray(0, 64));
    expect(start).toBeGreaterThanOrEqual(0);
    expect(Buffer.compare(heard.subarray(start, start + file.length), file)).toBe(0);
    expect(greatest).toBeLessThanOrEqual(LATENCY + 1);
    console.log(`PulseAudio, ${ppm} ppm, ${SECONDS} s: bit-exact, latency at most ${greatest.toFixed(0)} ms`);
  },
  (SECONDS + 60) * 1000,
);

test.each([PPM, -PPM])(
  'PipeWire keeps its own pace with a card that is off by %i ppm: no gap, no jump, nothing twice',
  async (ppm) => {
    const server = await startPipewire();
    const playing = await openPlayingCard(ppm);
    const bridge = await bridgeTo(server, playing.card);
    await server.hurry('pw-cli', process.pid);
    const rotor = new Rotor();
    playing.listener = (octets) => rotor.hear(octets);
    const latency = followLatency(bridge);
    const frames = SECONDS * RATE;
    await server.run('paplay', [...RAW, writeRaw(server.directory, 'turning.raw', turning(frames))]);
    const greatest = latency();
    await once(bridge as EventEmitter, 'stop');
    const { least, most } = rotor;
    expect(bridge.endpoints[0]?.statistics).toMatchObject({ xruns: 0, slips: 0 });
    expect(rotor.gaps).toBe(0);
    expect(Math.abs(rotor.frames - frames)).toBeLessThan(2); // resampled, it may end between two frames
    // The pitch is the card's, to the 0.2% by which a wrong fill is mended, and what 16 bits leave uncertain.
    expect(least).toBeGreaterThan(1 - 0.004);
    expect(most).toBeLessThan(1 + 0.004);
    expect(greatest).toBeLessThanOrEqual(LATENCY + 2 * QUANTUM);
    console.log(
      `PipeWire, ${ppm} ppm, ${SECONDS} s: no gap, latency at most ${greatest.toFixed(0)} ms, ` +
        `steps of ${least.toFixed(5)} to ${most.toFixed(5)} frames`,
    );
  },
  (SECONDS + 60) * 1000,
);

/** Hz: a prime, so that no number of quanta is a whole number of turns for minutes. */
const TURNS = 997;
const RADIANS = (2 * Math.PI * TURNS) / RATE;
const LOUDNESS = 16_000;

/** Frames: a filter rings where the sound breaks off. */
const END = 100;

/** Frames of a sine on the left and its cosine on the right: together they say which frame it is. */
function turning(frames: number): Buffer {
  const octets = Buffer.alloc(frames * FRAME_BYTES);
  for (let i = 0; i < frames; i++) {
    octets.writeInt16LE(Math.round(LOUDNESS * Math.sin(i * RADIANS)), i * FRAME_BYTES);
    octets.writeInt16LE(Math.round(LOUDNESS * Math.cos(i * RADIANS)), i * FRAME_BYTES + 2);
  }
  return octets;
}

/** How far the sound has come, and how evenly. */
class Rotor {
  #angle: number | undefined;
  #isSilent = false;
  /** The newest ones. */
  readonly #steps: number[] = [];
  /** Frames of the sound, as far as its turns tell. */
  frames = 0;
  /** Silences inside the sound. */
  gaps = 0;
  /** The shortest and the longest step from one frame to the next, in frames of the sound. */
  least = Number.POSITIVE_INFINITY;
  most = Number.NEGATIVE_INFINITY;

  hear(octets: Uint8Array): void {
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
    for (let at = 0; at < octets.length; at += FRAME_BYTES) {
      this.#turn(view.getInt16(at, true), view.getInt16(at + 2, true));
    }
  }

  #turn(sine: number, cosine: number): void {
    if (Math.hypot(sine, cosine) < 0.9 * LOUDNESS) {
      this.#isSilent = true;
      return;
    }
    const angle = Math.atan2(sine, cosine);
    if (this.#angle === undefined) {
      this.frames = 1;
    } else {
      if (this.#isSilent) this.gaps++;
      const step = ((angle - this.#angle + 2 * Math.PI) % (2 * Math.PI)) / RADIANS;
      this.frames += step;
      this.#steps.push(step);
      const judged = this.#steps.length > END ? this.#steps.shift() : undefined;
      if (judged !== undefined) {
        this.least = Math.min(this.least, judged);
        this.most = Math.max(this.most, judged);
      }
    }
    this.#angle = angle;
    this.#isSilent = false;
  }
}
