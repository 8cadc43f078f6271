import { dirname, resolve } from 'node:path';
import { VsndError } from '../errors.ts';
import { addonPath, requireFile } from '../xen/linux/addon.ts';

/**
 * What native/pipewire offers: libpipewire, and what its data thread does. Nothing here calls JavaScript but what a session was
 * started with. Operations throw an Error with `code`, an errno's name.
 */
export interface PipeWireAddon {
  /** Throws an Error with `code` ERR_DLOPEN_FAILED where there is no libpipewire. */
  readonly PipeWireSession: new () => PipeWireSession;
  readonly PipeWireNode: new (session: PipeWireSession, options: NodeOptions) => PipeWireNode;
  /** `capacity`: bytes. */
  readonly StagingPort: new (
    session: PipeWireSession,
    capacity: number,
  ) => StagingPort;
}

/** A connection, whose main loop the event loop runs. */
export interface PipeWireSession {
  /** Calls `onReady` whenever iterate() would do something. Holds the process. */
  start(onReady: () => void): void;
  /** Does what there is to do; what has come of that is to be looked at. */
  iterate(): void;
  /** To the daemon that the environment names. */
  connect(): void;
  /** All that the daemon had then is known. */
  readonly isReady: boolean;
  /** Why the connection has ended; empty while it stands. */
  readonly failure: string;
  readonly serverVersion: string;
  /** The pid of the program whose node has that name, 0 where that is not known; undefined where there is none. */
  findNode(name: string): number | undefined;
  /** Closes its nodes, too. Idempotent. */
  close(): void;
}

export interface NodeOptions {
  readonly isSink: boolean;
  readonly name: string;
  readonly description: string;
  /** Hz */
  readonly rate: number;
  readonly frameBytes: number;
  /** PipeWire's names: 'S16LE', and of each channel 'FL'. */
  readonly format: string;
  readonly positions: readonly string[];
  /** Frames that wait at the card when the graph has brought some; twice a cycle at least. */
  readonly latencyFrames: number;
  /** Frames of a cycle to ask the graph for; programs may ask for fewer. */
  readonly quantum: number;
  /** Of those that can drive the same programs, the highest does. */
  readonly priority: number;
  /** Never resample, also where another node drives: frames are dropped or repeated then, and counted. */
  readonly isExact: boolean;
}

/** A sink or a source in the graph. */
export interface PipeWireNode {
  /** Whether programs use it. */
  readonly isStreaming: boolean;
  /** Whether a session manager knows it, so that programs can use it. */
  readonly isKnown: boolean;
  /** Why it has gone; empty where it has not. */
  readonly failure: string;
  /** Whether it drives the graph; else it follows another node. */
  readonly isDriving: boolean;
  /** Frames of the card in a cycle. */
  readonly quantum: number;
  /** Frames between the graph and the loudspeaker or microphone, beside the cycle's own: what programs are told. */
  readonly latency: number;
  /** Frames that went through. */
  readonly frames: number;
  /** How often frames were dropped or silence put in while another node drove. */
  readonly slips: number;
  /**
   * The card's stream is open, anew perhaps: `written` frames were put into it before, a position comes every `period` frames. What the
   * graph brings meanwhile is kept.
   */
  attach(port: unknown, written: number, period: number): void;
  /** Idempotent. */
  detach(): void;
  /** By how much the card's clock is fast; 1e-6 is a ppm. */
  setDeviation(deviation: number): void;
  /** Where it has changed since the last call. */
  takeVolume(): NodeVolume | undefined;
  /** Whether the card does the volume, and PipeWire leaves samples as they are. */
  leaveVolumeToCard(isLeft: boolean): void;
  /** Users see it as if they had set it. */
  showVolume(channels: readonly number[], isMuted: boolean): void;
  /** Says the latency anew where it has changed. */
  lookAtLatency(): void;
  /** Idempotent. */
  close(): void;
}

export interface NodeVolume {
  /** Linear, one a channel; empty before there was a format. */
  readonly channels: readonly number[];
  readonly isMuted: boolean;
}

/** A port whose other end is JavaScript. */
export interface StagingPort {
  readonly port: unknown;
  /** Bytes that can be taken. */
  readonly staged: number;
  /** Copies out the oldest bytes, as many as fit; says how many. */
  take(into: Uint8Array): number;
  /** Copies in as many bytes as have room; says how many. */
  stage(bytes: Uint8Array): number;
  /** The position, bytes since the stream was opened. */
  move(bytes: number): void;
}

/** Throws ERR_VSND_SOUND_SERVER, saying what is missing. */
export function loadPipeWireAddon(path = pipeWirePath()): PipeWireAddon {
  try {
    return requireFile(path) as PipeWireAddon;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === 'MODULE_NOT_FOUND' ? 'there is no such file' : message;
    const advice = "'--via pipe' (via: 'pipe') does without";
    throw soundServerError(`cannot load the addon for PipeWire, ${path}: ${reason}; ${advice}`, cause);
  }
}

/** Beside the other addon. */
function pipeWirePath(): string {
  return resolve(dirname(addonPath()), 'vsnd-pipewire.node');
}

/** A session that has been connected. Throws ERR_VSND_SOUND_SERVER, in words that say what to do. */
export function connectPipeWire({ PipeWireSession }: PipeWireAddon): PipeWireSession {
  try {
    const session = new PipeWireSession();
    try {
      session.connect();
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  } catch (cause) {
    throw soundServerError(adviceFor(cause as NodeJS.ErrnoException), cause);
  }
}

/** Names are Debian's. */
function adviceFor({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ERR_DLOPEN_FAILED':
      return `there is no libpipewire (${message}): install libpipewire-0.3-0 and libpipewire-0.3-modules`;
    case 'EHOSTDOWN':
    case 'ECONNREFUSED':
      return `no sound server runs for this user (PipeWire: ${code})`;
    case 'EACCES':
    case 'EPERM':
      return `the sound server does not let this user in (PipeWire: ${code}): run vsnd as the user whose server it is`;
    case 'ENOENT':
      return `PipeWire's modules are missing (${message}): install libpipewire-0.3-modules and libspa-0.2-modules`;
    default:
      return message;
  }
}

export function soundServerError(message: string, cause?: unknown): VsndError {
  return new VsndError('ERR_VSND_SOUND_SERVER', message, cause === undefined ? {} : { cause });
}
