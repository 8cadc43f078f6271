import { isVsndError, VsndError } from '../errors.ts';
import { serverInfo } from './pactl.ts';
import { pipewireAdaptor } from './pipewire.ts';
import { pulseAdaptor } from './pulse.ts';
import { tunnelAdaptor } from './pulse-tunnel.ts';
import type { PulseRoute, SoundServerAdaptor, SoundServerKind } from './sound-server.ts';

/** The adaptor of the server that was asked for, or of the one that runs. Rejects with ERR_VSND_SOUND_SERVER. */
export async function chooseAdaptor(
  wanted: SoundServerKind | undefined,
  via: PulseRoute = 'tunnel',
): Promise<SoundServerAdaptor> {
  if ((wanted ?? (await findServer())) === 'pipewire') return pipewireAdaptor;
  return via === 'tunnel' ? tunnelAdaptor : pulseAdaptor;
}

/** Which server answers as PulseAudio does: itself, or PipeWire. */
async function findServer(): Promise<SoundServerKind> {
  try {
    const { name } = await serverInfo();
    return /pipewire/i.test(name) ? 'pipewire' : 'pulse';
  } catch (error) {
    if (!isVsndError(error) || !/^(?:there is no|no sound server)/.test(error.message)) throw error;
    const advice = 'which of the servers runs is asked by pactl; name one: pulse, pipewire';
    throw new VsndError('ERR_VSND_SOUND_SERVER', `${error.message} (${advice})`, { cause: error });
  }
}
