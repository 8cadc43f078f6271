import type { Clock } from '../clock.ts';
import type { PcmSpec } from '../pcm/hw-params.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { FifoTools } from './fifo.ts';
import type { Path, PathContext } from './path.ts';

/** The sound servers that there are adaptors for. */
export type SoundServerKind = 'pulse' | 'pipewire';

/** Which way the sound goes between server and card: {@link BridgeOptions.via} says whose they are. */
export type BridgeRoute = 'tunnel' | 'graph' | 'pipe';

/** Which way the sound goes, by what the server calls its end: programs play into a sink, and record from a source. */
export type Direction = 'sink' | 'source';

/** A sink or a source that the server is to have. */
export interface EndpointOptions {
  readonly direction: Direction;
  /** What programs choose it by; letters, digits, '.', '_' and '-'. */
  readonly name: string;
  /** What people read. */
  readonly description: string;
  /** The path of its FIFO, or socket, in a directory of this user's alone. Nothing is there yet. */
  readonly path: string;
  readonly spec: PcmSpec;
  /** What the bridge may add to the latency, ms. */
  readonly latency: number;
  /** Of devices that the server could use, it takes the one with the highest. */
  readonly priority: number;
}

/** A sink or a source that the server has, and what carries its sound. */
export interface Endpoint {
  readonly path: Path;
  /** Ends the path, takes the module out of the server, and removes the FIFO. Never rejects. Idempotent. */
  close(): Promise<void>;
}

/** What an adaptor tells of its server. */
export interface ServerWatcher {
  /** Whether any program uses the endpoint of that name now: told once at first, then whenever it changes. */
  handleUse(name: string, isUsed: boolean): void;
  /** The server has gone; nothing else is told afterwards. */
  handleGone(reason: string): void;
}

/** One connection to a running sound server. */
export interface SoundServer {
  readonly kind: SoundServerKind;
  /** As a person reads it: 'PulseAudio 16.1'. */
  readonly description: string;

  /**
   * Takes out what bridges have left there that were killed. `isLeft` says of a FIFO's path whether it belongs to one.
   * Rejects with ERR_VSND_SOUND_SERVER.
   */
  removeLeftovers(isLeft: (path: string) => boolean): Promise<void>;

  /** Rejects with ERR_VSND_SOUND_SERVER, and the `pid` of a bridge that has something of that name there. */
  assertFree(name: string): Promise<void>;

  /**
   * Makes the endpoint and starts what carries its sound; nothing is left where that fails. Rejects with
   * ERR_VSND_SOUND_SERVER.
   */
  open(options: EndpointOptions, context: PathContext): Promise<Endpoint>;

  /** Follows the server until it has gone or the returned function is called. */
  watch(names: readonly string[], watcher: ServerWatcher): () => void;

  /** Leaves the server, once its endpoints are closed. Idempotent. */
  close?(): void;
}

/** What connects to a server. */
export interface SoundServerAdaptor {
  readonly kind: SoundServerKind;
  /** The formats that a sink, or a source, of the server takes frames of `channels` samples in. */
  takes(direction: Direction, format: PcmFormatName, channels: number): boolean;
  /** Rejects with ERR_VSND_SOUND_SERVER: no such server, no right to use it, or the programs that reach it are missing. */
  connect(tools: AdaptorTools): Promise<SoundServer>;
}

/** What an adaptor works with. */
export interface AdaptorTools {
  /** Loads the addon when it is asked for. Throws ERR_VSND_NO_XEN without it. */
  readonly fifos: FifoTools;
  readonly clock: Clock;
}
