import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createSoundServer } from '../../../src/index.ts';
import { openPlayingCard } from '../../bridge/real/playing-card.ts';
import { makeDirectory } from './serve-command.ts';

/** What pacat is to send. */
export const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le'];

/** A server in this process, on a card whose clock is off by so many ppm. `latency`: ms. */
export async function serveHere(deviation = 0, latency = 100) {
  const playing = await openPlayingCard(deviation);
  const directory = makeDirectory();
  const server = await createSoundServer(playing.card, { path: join(directory, 's', 'native'), latency });
  onTestFinished(() => server.close());
  const env = { ...process.env, PULSE_SERVER: server.address, HOME: directory, XDG_RUNTIME_DIR: directory };
  return { playing, directory, server, env };
}
