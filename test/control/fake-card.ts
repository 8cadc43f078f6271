import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import type { ControlledCard, ControlledStream } from '../../src/control/methods.ts';
import { type ControlServer, serveControl } from '../../src/control/server.ts';

/** A stream that writes down what it is told. */
export class FakeStream implements ControlledStream {
  readonly rate = 48_000;
  readonly channels = 2;
  readonly format = 's16_le';
  readonly state = 'running';
  readonly position = 4800;
  readonly latency = 960;
  readonly periodFrames = 1200;
  readonly clock = { frames: 4801.5, errorFrames: 2, deviation: 12.5, deviationError: undefined };
  readonly told: unknown[] = [];
  readonly type: 'playback' | 'capture';
  readonly device: number;
  readonly stream: number;
  readonly underruns?: number;
  readonly overruns?: number;
  estimatedUnderruns?: number;
  estimatedOverruns?: number;
  bufferFrames = 9600;
  volume: number[] = [-6, -6.5];
  muted = [false, true];
  failure: Error | undefined;

  constructor(type: 'playback' | 'capture', device = 0, stream = 0) {
    this.type = type;
    this.device = device;
    this.stream = stream;
    if (type === 'playback') this.underruns = 3;
    else this.overruns = 4;
  }

  getVolume = () => this.#tell('getVolume').then(() => this.volume);
  setVolume = (volume: number | readonly number[]) =>
    this.#tell('setVolume', volume).then(() => {
      this.volume = typeof volume === 'number' ? [volume, volume] : [...volume];
    });
  mute = (channels?: readonly number[]) => this.#mute('mute', true, channels);
  unmute = (channels?: readonly number[]) => this.#mute('unmute', false, channels);
  trigger = (trigger: string) => this.#tell('trigger', trigger);

  async #mute(what: string, muted: boolean, channels?: readonly number[]): Promise<void> {
    await this.#tell(what, channels);
    this.muted = this.muted.map((before, channel) =>
      (channels?.includes(channel) ?? true) ? muted : before,
    );
  }

  async #tell(...what: unknown[]): Promise<void> {
    this.told.push(what);
    if (this.failure) throw this.failure;
  }
}

/** A card with one stream of each kind. */
export function fakeCard() {
  const playback = new FakeStream('playback');
  const capture = new FakeStream('capture', 0, 1);
  const info = { devid: 2, shortName: 'VCard', longName: undefined, backendDomid: 0 };
  const card = { info, connected: true, streams: [playback, capture] as ControlledStream[] };
  return { card, playback, capture };
}

/** Serves it until the test is over. */
export async function serve(card: ControlledCard, path: string): Promise<ControlServer> {
  const server = await serveControl(card, path);
  onTestFinished(() => server.close());
  return server;
}

/** All that a socket answers to bytes sent at once, after which the sender ends its side. */
export async function exchange(path: string, bytes: string | Uint8Array): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.end(bytes);
  return await text(socket);
}

/** The answers to requests, or to lines that are none. */
export async function ask(path: string, ...requests: unknown[]): Promise<unknown[]> {
  const lines = requests.map((request) => (typeof request === 'string' ? request : JSON.stringify(request)));
  const answers = await exchange(path, lines.map((line) => `${line}\n`).join(''));
  return answers
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}
