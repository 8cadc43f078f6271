import { type Clock, timeout } from '../clock.ts';
import { VsndError } from '../errors.ts';
import { ReleaseStack } from '../release-stack.ts';
import { DriftCorrector } from './drift-corrector.ts';
import { DrivenCapture } from './driven-capture.ts';
import { DrivenPlayback } from './driven-playback.ts';
import { type Fifo, type FifoTools, removeFifo } from './fifo.ts';
import { PacedCapture } from './paced-capture.ts';
import { mostBufferFrames, type Path, type PathContext } from './path.ts';
import { MOST_CHANNELS, PIPEWIRE_FORMATS, positionsOf } from './pipewire-names.ts';
import { nameTakenError } from './place.ts';
import { runProgram, startProgram } from './program.ts';
import { followNodes, listNodes } from './pw-dump.ts';
import type {
  AdaptorTools,
  Endpoint,
  EndpointOptions,
  ServerWatcher,
  SoundServer,
  SoundServerAdaptor,
} from './sound-server.ts';

/** Frames that PipeWire is asked to bring at a time: a power of two. Fewer cost more, and are missed by a busy machine. */
const QUANTUM = { least: 128, most: 1024 };

/** A quantum is at most that part of the latency. */
const QUANTUM_PART = 8;

/** Quanta that wait at the least, so that the dead band and a late process leave something to play. */
const LEAST_QUANTA = 3;

/** From then on a source follows the pace at which its FIFO is filled. */
const ADAPTIVE_SOURCE = [0, 3, 80];

/** ns: a module that can be loaded is there at once. */
const DEADLINE = 5e9;

const MODULE = 'libpipewire-module-pipe-tunnel';

/** PipeWire: module-pipe-tunnel, in a process of its own that ends with this one. The system's timer is its clock. */
export const pipewirePipe: SoundServerAdaptor = {
  kind: 'pipewire',
  takes: (_direction, format, channels) =>
    PIPEWIRE_FORMATS[format] !== undefined && channels <= MOST_CHANNELS,
  connect: async ({ fifos }: AdaptorTools) => {
    const [info, version] = await Promise.all([
      runProgram('pw-cli', ['info', '0']),
      runProgram('pw-cli', ['--version']),
    ]);
    const [, server = ''] = /version: "([^"]*)"/.exec(info) ?? [];
    const [, linked = server] = /Linked with libpipewire (\S+)/.exec(version) ?? [];
    return new PipeWire(fifos, server, linked);
  },
};

class PipeWire implements SoundServer {
  readonly kind = 'pipewire';
  readonly description: string;
  readonly #fifos: FifoTools;
  /** The module runs in pw-cli, and is as old as that. */
  readonly #moduleVersion: string;

  constructor(fifos: FifoTools, version: string, moduleVersion: string) {
    this.#fifos = fifos;
    this.description = `PipeWire ${version}`;
    this.#moduleVersion = moduleVersion;
  }

  /** Nothing is left: the module's process ends with the bridge's, however that ends. */
  async removeLeftovers(): Promise<void> {}

  async assertFree(name: string): Promise<void> {
    const node = (await listNodes()).find((one) => one.name === name);
    if (node !== undefined) throw nameTakenError(name, node.fifo, 'a program');
  }

  open(options: EndpointOptions, context: PathContext): Promise<Endpoint> {
    return options.direction === 'sink'
      ? this.#openSink(options, context)
      : this.#openSource(options, context);
  }

  watch(names: readonly string[], watcher: ServerWatcher): () => void {
    const used = new Map<string, boolean>();
    return followNodes(
      (nodes) => {
        for (const name of names) {
          const isUsed = nodes.find((node) => node.name === name)?.state === 'running';
          if (used.get(name) === isUsed) continue;
          used.set(name, isUsed);
          watcher.handleUse(name, isUsed);
        }
      },
      (reason) => watcher.handleGone(reason),
    );
  }

  /** The FIFO is there before the module, so that nothing is missed that it writes. */
  async #openSink(options: EndpointOptions, context: PathContext): Promise<Endpoint> {
    const { path, spec } = options;
    const releases = new ReleaseStack();
    try {
      this.#fifos.makeFifo(path);
      releases.push(() => removeFifo(path));
      const fifo = new this.#fifos.Fifo(path, false);
      releases.push(() => fifo.close());
      releases.push(await loadTunnel(options, context));
      const quanta = quantaFor(options);
      const corrector = new DriftCorrector(spec, quanta.quantumFrames);
      const carrier = new DrivenPlayback(
        fifo,
        corrector,
        { ...quanta, bufferFrames: bufferFor('playback', quanta, context) },
        context,
      );
      releases.push(() => carrier.close());
      return { path: carrier, close: () => releases.releaseAll() };
    } catch (error) {
      await releases.releaseAll();
      throw error;
    }
  }

  /** The module makes the FIFO. */
  async #openSource(options: EndpointOptions, context: PathContext): Promise<Endpoint> {
    const { path } = options;
    const releases = new ReleaseStack();
    releases.push(() => removeFifo(path));
    try {
      releases.push(await loadTunnel(options, context));
      const fifo = new this.#fifos.Fifo(path, true);
      releases.push(() => fifo.close());
      const carrier = this.#carryCapture(fifo, options, context);
      releases.push(() => carrier.close());
      return { path: carrier, close: () => releases.releaseAll() };
    } catch (error) {
      await releases.releaseAll();
      throw error;
    }
  }

  #carryCapture(fifo: Fifo, options: EndpointOptions, context: PathContext): Path {
    const { path, latency, spec } = options;
    const openReader = () => new this.#fifos.Fifo(path, false);
    if (isAtLeast(this.#moduleVersion, ADAPTIVE_SOURCE)) {
      return new PacedCapture(fifo, openReader, latency, context);
    }
    const quanta = quantaFor(options);
    fifo.setSize(2 * quanta.targetFrames * spec.frameBytes);
    const corrector = new DriftCorrector(spec, quanta.quantumFrames);
    const bufferFrames = bufferFor('capture', quanta, context);
    return new DrivenCapture(fifo, corrector, { ...quanta, bufferFrames, openReader }, context);
  }
}

interface Quanta {
  readonly quantumFrames: number;
  readonly targetFrames: number;
}

/** How many frames come at a time, and how many are to wait before they come: what the latency leaves for them. */
function quantaFor({ spec: { rate }, latency }: EndpointOptions): Quanta {
  const latencyFrames = (rate * latency) / 1000;
  const power = 2 ** Math.floor(Math.log2(latencyFrames / QUANTUM_PART));
  const quantumFrames = Math.min(Math.max(power, QUANTUM.least), QUANTUM.most);
  const wanted = Math.round(latencyFrames) - 2 * quantumFrames;
  return { quantumFrames, targetFrames: Math.max(wanted, LEAST_QUANTA * quantumFrames) };
}

/** Frames of the card's buffer: twice what is to wait there, as far as it is so large. */
function bufferFor(type: 'playback' | 'capture', { targetFrames }: Quanta, context: PathContext): number {
  return Math.min(2 * targetFrames, mostBufferFrames(type, context));
}

/** Loads the module into a process that holds it, and waits for its node; gives what ends both. */
async function loadTunnel(
  options: EndpointOptions,
  { clock, events }: PathContext,
): Promise<() => Promise<void>> {
  // With it goes all that it has made in the server.
  const args = ['-m', 'load-module', MODULE, moduleArguments(options)];
  const program = await startProgram('pw-cli', args, { isTied: true });
  let isWanted = true;
  const ended = program.ended.then(() => program.lastLine || 'pw-cli has ended');
  const unload = async () => {
    isWanted = false;
    await program.end();
  };
  try {
    await awaitNode(options.path, ended, clock);
  } catch (error) {
    await unload();
    throw error;
  }
  void ended.then((reason) => {
    if (isWanted) events.handleServerGone(reason);
  });
  return unload;
}

/** Waits until the server has the node of that FIFO, and its session manager knows it: programs can use it then. Rejects with ERR_VSND_SOUND_SERVER where its program ends first. */
function awaitNode(fifo: string, ended: Promise<string>, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = timeout(clock, DEADLINE, () =>
      fail(`its node has no ports after ${DEADLINE / 1e9} s; does a session manager run?`),
    );
    const fail = (reason: string) => {
      timer.cancel();
      stop();
      reject(new VsndError('ERR_VSND_SOUND_SERVER', `PipeWire has not loaded ${MODULE}: ${reason}`));
    };
    const stop = followNodes((nodes) => {
      if (!nodes.some((node) => node.fifo === fifo && node.ports > 0)) return;
      timer.cancel();
      stop();
      resolve();
    }, fail);
    void ended.then(fail);
  });
}

function moduleArguments(options: EndpointOptions): string {
  const { direction, name, description, path, spec } = options;
  const { format, rate, channels } = spec;
  return `{ ${[
    `tunnel.mode=${direction}`,
    `pipe.filename="${path}"`,
    `node.name="${name}"`,
    `node.description="${description}"`,
    `audio.format=${PIPEWIRE_FORMATS[format]}`,
    `audio.rate=${rate}`,
    `audio.channels=${channels}`,
    `audio.position=[${positionsOf(channels).join(' ')}]`,
    `node.latency="${quantaFor(options).quantumFrames}/${rate}"`,
  ].join(' ')} }`;
}

function isAtLeast(version: string, least: readonly number[]): boolean {
  const numbers = version.split('.').map(Number);
  const index = least.findIndex((number, i) => number !== (numbers[i] ?? 0));
  return index === -1 || (numbers[index] ?? 0) > (least[index] ?? 0);
}
