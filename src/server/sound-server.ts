import { EventEmitter } from 'node:events';
import { createServer, type Server } from 'node:net';
import { hostname, userInfo } from 'node:os';
import { type Clock, RealClock } from '../clock.ts';
import { ownUid } from '../control/own-directory.ts';
import { abortError } from '../errors.ts';
import type { Card } from '../frontend/card.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { ClientSocket } from './client-socket.ts';
import { Hub, type ServerIdentity } from './hub.ts';
import { MOST_CLIENTS } from './limits.ts';
import { type Listening, listen } from './listen.ts';
import { isOwn, type Peer, peerTeller } from './peer.ts';
import { checkSoundServerOptions, planServer, type ServerPlan, type SoundServerOptions } from './plan.ts';
import { Sink } from './sink.ts';
import type { SinkInput } from './sink-input.ts';
import { Source } from './source.ts';
import type { SourceOutput } from './source-output.ts';
import type { TargetEvents, TargetPlan } from './target.ts';

/** A program's stream. */
export interface SoundServerStream {
  /** 'sink' where it plays, 'source' where it records. */
  readonly direction: 'sink' | 'source';
  /** The sink or source that it uses. */
  readonly target: string;
  /** Hz */
  readonly rate: number;
  /** Channels of a frame. */
  readonly channels: number;
  /** Whether the program has paused it. */
  readonly corked: boolean;
  /** Whether it is muted. */
  readonly muted: boolean;
  /** ms of sound that wait, beside those at the card. */
  readonly buffered: number;
}

/** A program that is connected. */
export interface SoundServerClient {
  /** The server's number for it. */
  readonly index: number;
  /** What it says it is. */
  readonly name: string;
  /** Its process, as it says. */
  readonly pid: number | undefined;
  /** What it plays and records at the moment. */
  readonly streams: readonly SoundServerStream[];
}

/** A sink or a source that programs can use. */
export interface SoundServerTarget {
  /** 'sink' where programs play, 'source' where they record. */
  readonly direction: 'sink' | 'source';
  /** What programs choose it by. */
  readonly name: string;
  /** The PCM device's index. */
  readonly device: number;
  /** Hz */
  readonly rate: number;
  /** Channels of a frame. */
  readonly channels: number;
  /** How one sample is laid out: a name of sndif.h. */
  readonly format: PcmFormatName;
  /** Frames that have been played or recorded. */
  readonly frames: number;
  /** Whether the card's stream is open. */
  readonly active: boolean;
  /** Underruns or overruns of the card. */
  readonly xruns: number;
  /** ms between this process and the loudspeaker, or the microphone. */
  readonly latency: number;
}

/** What a {@link SoundServer} tells. */
export interface SoundServerEvents {
  /** A program has connected, and said what it is. */
  connect: [
    {
      /** Its {@link SoundServerClient.index}. */
      client: number;
      /** What it says it is. */
      name: string;
    },
  ];
  /** It has gone. */
  disconnect: [
    {
      /** Its {@link SoundServerClient.index}. */
      client: number;
      /** What it says it is. */
      name: string;
    },
  ];
  /** A program's stream has come or gone, or is not what it was: paused, or of another volume. {@link SoundServer.clients} has them. */
  streams: [];
  /** The card's stream is open: somebody plays, or records. */
  start: [
    {
      /** The sink or the source. */
      name: string;
    },
  ];
  /** It is closed. */
  stop: [
    {
      /** The sink or the source. */
      name: string;
    },
  ];
  /** The card ran dry, or over: how often so far. */
  xrun: [
    {
      /** The sink or the source. */
      name: string;
      /** How often so far. */
      count: number;
    },
  ];
  /** The card's backend has gone while sound went through. Programs wait for it. */
  backendLost: [
    {
      /** The sink or the source. */
      name: string;
      /** Why. */
      error: Error;
    },
  ];
  /** Sound goes through again, by the next backend. */
  backendBack: [
    {
      /** The sink or the source. */
      name: string;
      /** ms since it was lost. */
      gap: number;
    },
  ];
  /** Something worth knowing that ends nothing. */
  warning: [
    {
      /** A stable name, for programs. */
      code: string;
      /** What is wrong, for people. */
      message: string;
    },
  ];
  /** Nothing of it is left. Once. */
  close: [];
}

/**
 * Makes the card an endpoint of PulseAudio's native protocol, at a socket: programs play into its PCM devices, and record from
 * them. The card stays the caller's; its streams are open while somebody uses them. Rejects with ERR_VSND_INVALID_ARG,
 * ERR_VSND_NO_STREAM, ERR_VSND_NOT_SUPPORTED, ERR_VSND_SOUND_SERVER where something answers at the socket, or an AbortError;
 * nothing is left then.
 */
export async function createSoundServer(card: Card, options: SoundServerOptions = {}): Promise<SoundServer> {
  checkSoundServerOptions(options);
  const { signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const plan = planServer(card.info, options);
  const server = createServer();
  server.maxConnections = MOST_CLIENTS;
  const listening = await listen(server, options);
  const made = new SoundServer(card, plan, server, listening);
  const close = () => void made.close();
  signal?.addEventListener('abort', close);
  made.once('close', () => signal?.removeEventListener('abort', close));
  if (!signal?.aborted) return made;
  await made.close();
  throw abortError(signal);
}

/** See {@link createSoundServer}. */
export class SoundServer extends EventEmitter<SoundServerEvents> {
  /** The socket's path; undefined where it was given as a file descriptor. */
  readonly path: string | undefined;
  readonly #card: Card;
  readonly #clock: Clock = new RealClock({ ref: false });
  readonly #server: Server;
  readonly #listening: Listening;
  readonly #hub: Hub;
  /** Users that have been refused. */
  readonly #refused = new Set<number>();
  #closed: Promise<void> | undefined;

  /** @internal Users have {@link createSoundServer}. */
  constructor(card: Card, plan: ServerPlan, server: Server, listening: Listening) {
    super();
    this.path = listening.path;
    this.#card = card;
    this.#server = server;
    this.#listening = listening;
    const peerOf = peerTeller();
    const sinks = plan.sinks.map((one) => new Sink(one, this.#clock, this.#eventsOf(one)));
    const sources = plan.sources.map((one) => new Source(one, this.#clock, this.#eventsOf(one)));
    this.#hub = new Hub(identity(), sinks, sources, plan.roles, {
      handleConnect: ({ client, name }) => this.emit('connect', { client, name }),
      handleDisconnect: ({ client, name }) => this.emit('disconnect', { client, name }),
      handleStreams: () => process.nextTick(() => this.emit('streams')), // once it is done
    });
    server.on('connection', (socket) => {
      const peer = listening.isShared ? undefined : peerOf(socket);
      const isWelcome = peer === undefined || isOwn(peer);
      if (!isWelcome) this.#refuse(peer);
      new ClientSocket(socket, this.#hub, this.#clock, isWelcome);
    });
  }

  /** What PULSE_SERVER is to be for programs that are to use it. */
  get address(): string | undefined {
    return this.path === undefined ? undefined : `unix:${this.path}`;
  }

  /** Where programs can play. */
  get sinks(): readonly SoundServerTarget[] {
    return this.#hub.sinks.map(targetOf);
  }

  /** What programs can record from. */
  get sources(): readonly SoundServerTarget[] {
    return this.#hub.sources.map(targetOf);
  }

  /** The programs that are connected. */
  get clients(): readonly SoundServerClient[] {
    const { clients, inputs, outputs } = this.#hub;
    return [...clients.values()].map((client) => {
      const plays = [...client.inputs.values()].map((input) =>
        streamOf('sink', input, inputs.get(input.index)?.target.plan),
      );
      const records = [...client.outputs.values()].map((output) =>
        streamOf('source', output, outputs.get(output.index)?.target.plan),
      );
      return { index: client.client, name: client.name, pid: client.pid, streams: [...plays, ...records] };
    });
  }

  /**
   * Tells programs the volume and the mute of the sinks as the backend has them now: for whoever sets those of the card's streams
   * beside this server, as `vsnd volume` does.
   */
  refreshVolumes(): void {
    for (const sink of this.#hub.sinks) sink.refreshVolume();
  }

  /** Ends every connection, removes the socket, and lets go of the card's streams. Never rejects. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** For `await using`: {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const client of this.#hub.clients.values()) client.close();
    await closed;
    this.#listening.release();
    await Promise.all([...this.#hub.sinks, ...this.#hub.sources].map((target) => target.close()));
    process.nextTick(() => this.emit('close'));
  }

  /** Says so once of each user. */
  #refuse({ pid, uid }: Peer): void {
    if (this.#refused.has(uid)) return;
    this.#refused.add(uid);
    const message = `process ${pid} of user ${uid} was refused: this server is for user ${ownUid()} and root`;
    this.emit('warning', { code: 'VSND_CLIENT_REFUSED', message });
  }

  #eventsOf({ direction, name, index }: TargetPlan): TargetEvents {
    return {
      card: this.#card,
      handleStart: () => this.emit('start', { name }),
      handleStop: () => this.emit('stop', { name }),
      handleXrun: (count) => this.emit('xrun', { name, count }),
      handleBackendLost: (error) => this.emit('backendLost', { name, error }),
      handleBackendBack: (gap) => this.emit('backendBack', { name, gap }),
      handleWarning: (code, message) => this.emit('warning', { code, message }),
      handleChange: () => this.#hub.publish(direction, 'change', index),
    };
  }
}

function targetOf(target: Sink | Source): SoundServerTarget {
  const { direction, name, device, spec } = target.plan;
  const { rate, channels, format } = spec;
  return { direction, name, device, rate, channels, format, ...target.statistics };
}

function streamOf(
  direction: 'sink' | 'source',
  { spec, isCorked, gain, bufferLatency }: SinkInput | SourceOutput,
  target: TargetPlan | undefined,
): SoundServerStream {
  const { rate, channels } = spec;
  return {
    direction,
    target: target?.name ?? '',
    rate,
    channels,
    corked: isCorked,
    muted: gain.isMuted,
    buffered: bufferLatency / 1000,
  };
}

function identity(): ServerIdentity {
  const { username } = userInfo();
  return { version: '1', user: username, host: hostname(), cookie: Math.floor(Math.random() * 2 ** 32) };
}
