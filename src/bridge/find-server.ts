import { invalidArgError, isVsndError, VsndError } from '../errors.ts';
import { serverInfo } from './pactl.ts';
import { pipewireGraph } from './pipewire-graph.ts';
import { pipewirePipe } from './pipewire-pipe.ts';
import { pulsePipe } from './pulse-pipe.ts';
import { pulseTunnel } from './pulse-tunnel.ts';
import type { BridgeRoute, SoundServerAdaptor, SoundServerKind } from './sound-server.ts';

type Routes = Readonly<Partial<Record<BridgeRoute, SoundServerAdaptor>>>;

/** The first is the usual one. */
const ADAPTORS: Readonly<Record<SoundServerKind, Routes>> = {
  pulse: { tunnel: pulseTunnel, pipe: pulsePipe },
  pipewire: { graph: pipewireGraph, pipe: pipewirePipe },
};

/**
 * The adaptor of the server that was asked for, or of the one that runs. Rejects with ERR_VSND_SOUND_SERVER, and with
 * ERR_VSND_INVALID_ARG for a route that the server does not have.
 */
export async function chooseAdaptor(
  wanted: SoundServerKind | undefined,
  via: BridgeRoute | undefined,
): Promise<SoundServerAdaptor> {
  const server = wanted ?? (await findServer());
  const routes = ADAPTORS[server];
  const adaptor = via === undefined ? Object.values(routes)[0] : routes[via];
  if (adaptor) return adaptor;
  throw invalidArgError('via', via, `${Object.keys(routes).join(', ')} (with ${server})`);
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
