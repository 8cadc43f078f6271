import type { Card } from './frontend/card.ts';
import type { SoundServerOptions } from './server/plan.ts';
import type { SoundServer } from './server/sound-server.ts';

/**
 * Makes the card an endpoint of PulseAudio's native protocol, at a socket: programs play into its PCM devices, and record from
 * them. The card stays the caller's; its streams are open while somebody uses them. Rejects with ERR_VSND_INVALID_ARG,
 * ERR_VSND_NO_STREAM, ERR_VSND_NOT_SUPPORTED, ERR_VSND_SOUND_SERVER where something answers at the socket, or an AbortError;
 * nothing is left then.
 */
export async function createSoundServer(card: Card, options: SoundServerOptions = {}): Promise<SoundServer> {
  const server = await import('./server/sound-server.ts'); // most programs make none
  return await server.createSoundServer(card, options);
}
