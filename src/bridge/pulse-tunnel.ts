import { type Clock, wait } from '../clock.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { cardMap, mapText, pulseFormatOf } from '../pulse/sample-spec.ts';
import { createSoundServer, type SoundServer } from '../server/sound-server.ts';
import { listModules, listStates, loadModule, serverInfo, subscribe, unloadModule } from './pactl.ts';
import type { Path, PathContext, PathEvents, PathStatistics } from './path.ts';
import { nameTakenError } from './place.ts';
import { describePulse } from './pulse-pipe.ts';
import type {
  AdaptorTools,
  Endpoint,
  EndpointOptions,
  SoundServer as GuestsServer,
  ServerWatcher,
  SoundServerAdaptor,
} from './sound-server.ts';

const MOST_CHANNELS = 32;

/** ms: how often a tunnel looks for an endpoint that has gone. */
const RECONNECT = 500;

/** ns: how long a tunnel may take to be there, and how often that is looked at. */
const DEADLINE = 5e9;
const LOOK = 20e6;

const MODULES = { sink: 'module-tunnel-sink-new', source: 'module-tunnel-source-new' } as const;
const STATES = { sink: 'sinks', source: 'sources' } as const;

/** PulseAudio, whose own tunnels use an endpoint of its protocol on the card: it knows the card's clock and its latency. */
export const pulseTunnel: SoundServerAdaptor = {
  kind: 'pulse',
  takes: (_direction, format, channels) => pulseFormatOf(format) !== undefined && channels <= MOST_CHANNELS,
  connect: async ({ clock }: AdaptorTools) => new PulseTunnels(clock, describePulse(await serverInfo())),
};

class PulseTunnels implements GuestsServer {
  readonly kind = 'pulse';
  readonly description: string;
  readonly #clock: Clock;

  constructor(clock: Clock, description: string) {
    this.#clock = clock;
    this.description = description;
  }

  async removeLeftovers(isLeft: (path: string) => boolean): Promise<void> {
    for (const { index, arguments: args } of await listModules()) {
      if (isLeft(socketIn(args) ?? args.get('file') ?? '')) await unloadModule(index);
    }
  }

  async assertFree(name: string): Promise<void> {
    for (const { arguments: args } of await listModules()) {
      if (args.get('sink_name') !== name && args.get('source_name') !== name) continue;
      throw nameTakenError(name, socketIn(args) ?? args.get('file'), 'a module');
    }
  }

  async open(options: EndpointOptions, context: PathContext): Promise<Endpoint> {
    const { direction, path, latency, name } = options;
    const { device, spec, card } = context;
    const { rate, channels, format } = spec;
    const server = await createSoundServer(card, {
      path,
      device,
      rate,
      channels,
      format,
      latency,
      sink: direction === 'sink',
      source: direction === 'source',
    });
    let index: string | undefined;
    try {
      index = await loadTunnel(options);
      await this.#untilThere(STATES[direction], name);
      return new TunnelEndpoint(server, index, options, context.events);
    } catch (error) {
      if (index !== undefined) await unloadModule(index).catch(() => {});
      await server.close();
      throw error;
    }
  }

  /** What the tunnels tell is told by their endpoints. */
  watch(_names: readonly string[], watcher: ServerWatcher): () => void {
    return subscribe(
      () => {},
      (reason) => watcher.handleGone(reason),
    );
  }

  /** The module connects by itself, after it has been loaded. */
  async #untilThere(kind: 'sinks' | 'sources', name: string): Promise<void> {
    const deadline = this.#clock.now() + DEADLINE;
    while (!(await listStates(kind)).has(name)) {
      if (this.#clock.now() > deadline) {
        const message = `PulseAudio's tunnel to the card, ${name}, is not there after ${DEADLINE / 1e9} s`;
        throw new VsndError('ERR_VSND_SOUND_SERVER', message);
      }
      await wait(this.#clock, LOOK);
    }
  }
}

/** A tunnel of PulseAudio's, and the endpoint that it uses. */
class TunnelEndpoint implements Endpoint, Path {
  readonly #server: SoundServer;
  readonly #index: string;
  readonly #options: EndpointOptions;
  readonly #events: PathEvents;
  #closed: Promise<void> | undefined;

  constructor(server: SoundServer, index: string, options: EndpointOptions, events: PathEvents) {
    this.#server = server;
    this.#index = index;
    this.#options = options;
    this.#events = events;
    server
      .on('start', () => events.handleStart())
      .on('stop', () => events.handleStop())
      .on('xrun', ({ count }) => events.handleXrun(count))
      .on('backendLost', ({ error }) => events.handleBackendLost(error))
      .on('backendBack', ({ gap }) => events.handleBackendBack(gap))
      .on('warning', ({ code, message }) => events.handleWarning(code, message))
      .on('disconnect', () => void this.#lookForModule());
  }

  get path(): Path {
    return this;
  }

  get statistics(): PathStatistics {
    const { sinks, sources } = this.#server;
    const [target] = [...sinks, ...sources];
    const { frames = 0, active = false, xruns = 0, latency = 0 } = target ?? {};
    const latencyFrames = Math.round((latency / 1000) * this.#options.spec.rate);
    return { frames, active, xruns, slips: 0, latencyFrames, latency };
  }

  /** Its stream says so itself. */
  setUsed(): void {}

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    try {
      if (await this.#isThere()) await unloadModule(this.#index);
    } catch (error) {
      if (!isVsndError(error)) throw error; // the server has gone, and its modules with it
    }
    await this.#server.close();
  }

  /** The tunnel has gone: for a moment, or because somebody has unloaded it. */
  async #lookForModule(): Promise<void> {
    const isThere = await this.#isThere().catch(() => true); // without a server that is told elsewhere
    if (isThere || this.#closed) return;
    this.#events.handleServerGone(`the ${this.#options.direction} has been removed from the sound server`);
  }

  /** Only what is ours: another server, started since, counts its modules anew. */
  async #isThere(): Promise<boolean> {
    const modules = await listModules();
    return modules.some(
      ({ index, arguments: args }) => index === this.#index && socketIn(args) === this.#options.path,
    );
  }
}

/** The socket that a tunnel's module connects to. */
function socketIn(args: ReadonlyMap<string, string>): string | undefined {
  return /^unix:(.*)$/.exec(args.get('server') ?? '')?.[1];
}

/** Gives the module's index. Before PulseAudio 16 tunnels do not connect again. */
async function loadTunnel({ direction, name, description, path, spec }: EndpointOptions): Promise<string> {
  const { rate, channels, format } = spec;
  const args = {
    server: `unix:${path}`,
    [`${direction}_name`]: name,
    format: pulseFormatOf(format)?.name ?? '',
    rate: String(rate),
    channels: String(channels),
    channel_map: mapText(cardMap(channels)),
    [`${direction}_properties`]: `device.description="${description}"`,
  };
  try {
    return await loadModule(MODULES[direction], { ...args, reconnect_interval_ms: String(RECONNECT) });
  } catch {
    return await loadModule(MODULES[direction], args);
  }
}
