import { isVsndError } from '../errors.ts';
import { cardMap, mapText, pulseFormatOf } from '../pulse/sample-spec.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import { type Fifo, type FifoTools, removeFifo } from './fifo.ts';
import { PacedCapture } from './paced-capture.ts';
import { PacedPlayback } from './paced-playback.ts';
import {
  listModules,
  listStates,
  loadModule,
  type PulseInfo,
  serverInfo,
  subscribe,
  unloadModule,
} from './pactl.ts';
import type { Path, PathContext } from './path.ts';
import { nameTakenError } from './place.ts';
import type {
  AdaptorTools,
  Endpoint,
  EndpointOptions,
  ServerWatcher,
  SoundServer,
  SoundServerAdaptor,
} from './sound-server.ts';

const MOST_CHANNELS = 32;

/** Bytes: a page is the least that a pipe has, and 1 MiB the most that a user may ask for. */
const LEAST_PIPE = 4096;
const LARGEST_PIPE = 1 << 20;

/** s of sound that wait at the card at the least. */
const LEAST_BUFFER = 0.01;

/** Bytes: what goes into a source's pipe waits there for PulseAudio's next turn only. */
const SOURCE_PIPE = 16_384;

/** Bytes; the daemon aborts for larger frames, whose blocks in memory are not whole frames. */
const LARGEST_SOURCE_FRAME = 64;

/** PulseAudio: module-pipe-sink, whose pace is that at which its FIFO is read, and module-pipe-source. */
export const pulsePipe: SoundServerAdaptor = {
  kind: 'pulse',
  takes: (direction, format, channels) => {
    if (pulseFormatOf(format) === undefined || channels > MOST_CHANNELS) return false;
    const frameBytes = (pcmFormat(format).sampleBytes ?? 0) * channels;
    // The daemon aborts where what it reads from a source's pipe ends within a frame.
    const isPowerOfTwo = (frameBytes & (frameBytes - 1)) === 0;
    return direction === 'sink' || (isPowerOfTwo && frameBytes <= LARGEST_SOURCE_FRAME);
  },
  connect: async ({ fifos }: AdaptorTools) => new Pulse(fifos, await serverInfo()),
};

class Pulse implements SoundServer {
  readonly kind = 'pulse';
  readonly description: string;
  readonly #fifos: FifoTools;

  constructor(fifos: FifoTools, info: PulseInfo) {
    this.#fifos = fifos;
    this.description = describePulse(info);
  }

  async removeLeftovers(isLeft: (path: string) => boolean): Promise<void> {
    for (const module of await listModules()) {
      if (isLeft(module.arguments.get('file') ?? '')) await unloadModule(module.index);
    }
  }

  async assertFree(name: string): Promise<void> {
    for (const { arguments: args } of await listModules()) {
      if (args.get('sink_name') !== name && args.get('source_name') !== name) continue;
      throw nameTakenError(name, args.get('file'), 'a module');
    }
  }

  open(options: EndpointOptions, context: PathContext): Promise<Endpoint> {
    return options.direction === 'sink'
      ? this.#openSink(options, context)
      : this.#openSource(options, context);
  }

  watch(names: readonly string[], watcher: ServerWatcher): () => void {
    const watch = new UseWatch(names, watcher);
    const unsubscribe = subscribe(
      () => watch.look(),
      (reason) => watch.end(reason),
    );
    watch.look();
    return () => {
      watch.cancel();
      unsubscribe();
    };
  }

  /** The FIFO is there before the module, so that its size is known to it, and nothing that it writes is missed. */
  async #openSink(options: EndpointOptions, context: PathContext): Promise<Endpoint> {
    const { path, spec, latency } = options;
    this.#fifos.makeFifo(path);
    const fifo = new this.#fifos.Fifo(path, false);
    try {
      const bytes = (spec.rate * spec.frameBytes * latency) / 1000;
      const pipeBytes = fifo.setSize(pipeSizeFor(bytes));
      const index = await loadModule('module-pipe-sink', moduleArguments(options));
      const restBytes = Math.max(bytes - pipeBytes, LEAST_BUFFER * spec.rate * spec.frameBytes);
      const bufferFrames = Math.round(restBytes / spec.frameBytes);
      return new PulseEndpoint(index, path, new PacedPlayback(fifo, bufferFrames, context));
    } catch (error) {
      fifo.close();
      await removeFifo(path);
      throw error;
    }
  }

  /** The module makes the FIFO: it refuses one that is there. */
  async #openSource(options: EndpointOptions, context: PathContext): Promise<Endpoint> {
    const { path, latency } = options;
    const index = await loadModule('module-pipe-source', moduleArguments(options));
    let fifo: Fifo | undefined;
    try {
      fifo = new this.#fifos.Fifo(path, true);
      fifo.setSize(SOURCE_PIPE);
      const openReader = () => new this.#fifos.Fifo(path, false);
      return new PulseEndpoint(index, path, new PacedCapture(fifo, openReader, latency, context));
    } catch (error) {
      fifo?.close();
      await unloadModule(index).catch(() => {});
      await removeFifo(path);
      throw error;
    }
  }
}

/** As a person reads it. */
export function describePulse({ name, version }: PulseInfo): string {
  return name === 'pulseaudio' ? `PulseAudio ${version}` : name;
}

class PulseEndpoint implements Endpoint {
  readonly path: Path;
  readonly #index: string;
  readonly #file: string;
  #closed: Promise<void> | undefined;

  constructor(index: string, file: string, path: Path) {
    this.#index = index;
    this.#file = file;
    this.path = path;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#unload();
    await this.path.close();
    await removeFifo(this.#file);
  }

  /** Only what is ours: another server, started since, counts its modules anew. */
  async #unload(): Promise<void> {
    try {
      const modules = await listModules();
      const isOurs = modules.some(
        ({ index, arguments: args }) => index === this.#index && args.get('file') === this.#file,
      );
      if (isOurs) await unloadModule(this.#index);
    } catch (error) {
      if (!isVsndError(error)) throw error; // the server has gone, and its modules with it
    }
  }
}

/** Asks which of the endpoints are in use whenever something has changed; once more where it has meanwhile. */
class UseWatch {
  readonly #names: readonly string[];
  readonly #watcher: ServerWatcher;
  readonly #used = new Map<string, boolean>();
  #isLooking = false;
  #hasChanged = false;
  #isOver = false;

  constructor(names: readonly string[], watcher: ServerWatcher) {
    this.#names = names;
    this.#watcher = watcher;
  }

  look(): void {
    this.#hasChanged = true;
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#lookAgain().then(
      () => {
        this.#isLooking = false;
      },
      (error: Error) => this.end(error.message),
    );
  }

  end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#watcher.handleGone(reason);
  }

  cancel(): void {
    this.#isOver = true;
  }

  async #lookAgain(): Promise<void> {
    while (this.#hasChanged && !this.#isOver) {
      this.#hasChanged = false;
      const [sinks, sources] = await Promise.all([listStates('sinks'), listStates('sources')]);
      for (const name of this.#names) this.#tell(name, (sinks.get(name) ?? sources.get(name)) === 'RUNNING');
    }
  }

  #tell(name: string, isUsed: boolean): void {
    if (this.#isOver || this.#used.get(name) === isUsed) return;
    this.#used.set(name, isUsed);
    this.#watcher.handleUse(name, isUsed);
  }
}

function moduleArguments({
  direction,
  name,
  description,
  path,
  spec,
}: EndpointOptions): Record<string, string> {
  return {
    [`${direction}_name`]: name,
    file: path,
    format: pulseFormatOf(spec.format)?.name ?? '',
    rate: String(spec.rate),
    channels: String(spec.channels),
    channel_map: mapText(cardMap(spec.channels)), // PulseAudio has another one by default
    [`${direction}_properties`]: `device.description="${description}"`,
  };
}

/** Half of the latency may lie in the pipe: as much as PulseAudio may be late. */
function pipeSizeFor(bytes: number): number {
  const half = 2 ** Math.floor(Math.log2(bytes / 2));
  return Math.min(Math.max(half, LEAST_PIPE), LARGEST_PIPE);
}
