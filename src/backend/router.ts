import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../clock.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { PCM_FORMATS } from '../wire/pcm-format.ts';
import type { StreamAddress } from './card.ts';
import { defaultSource } from './default-source.ts';
import { deviceOfId, type HostName, type SinkName, type SourceName } from './device-names.ts';
import { wavDevice } from './devices.ts';
import { execCaptureDevice } from './exec-capture.ts';
import { execPlaybackDevice } from './exec-playback.ts';
import { countedCapture, countedPlayback, loggedCapture, loggedPlayback } from './followed-devices.ts';
import type { Guest } from './guest.ts';
import type { CaptureDevice, PcmDevice, PlaybackDevice } from './pcm-device.ts';
import type { SetPipeSize } from './piped-program.ts';
import { fillIn, numbersOf, playerFor, recorderFor } from './programs.ts';
import type { Admit } from './relaunch.ts';
import { fittingRoute, type Route } from './routes.ts';
import { checkWritable, openSink } from './sinks.ts';
import { clockedSource } from './sources.ts';
import { keepWithin } from './wav-budget.ts';
import { WavTakes } from './wav-takes.ts';

export interface RouterOptions {
  /** Asked in this order; the first that fits the stream's unique-id and type counts. */
  readonly routes: readonly Route[];
  /**
   * For playback streams that no route fits. Without it the unique-id may name a sink of ALSA's or Pulse's; the rest
   * goes to null.
   */
  readonly sink: SinkName | undefined;
  /** The same for capture streams; the rest captures silence. */
  readonly source: SourceName | undefined;
  readonly clock: Clock;
  readonly setPipeSize?: SetPipeSize | undefined;
}

/**
 * Opens what all streams share, and returns what finds the device of one. Rejects as {@link openSink} for a
 * speaker that cannot be used, with ERR_VSND_FILE for a WAV file that cannot be used.
 */
export async function openRouter(options: RouterOptions): Promise<(address: StreamAddress) => PcmDevice> {
  const router = new Router(options);
  await router.open();
  return (address) => router.deviceFor(address);
}

class Router {
  readonly #options: RouterOptions;
  /** Shared by all streams, by kind. */
  readonly #shared = new Map<string, PlaybackDevice>();
  readonly #takes = new WavTakes();

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { routes, sink, source, clock } = this.#options;
    await this.#openShared('null');
    if ([sink, ...routes.map((route) => route.sink)].some((named) => named?.kind === 'speaker')) {
      await this.#openShared('speaker');
    }
    if (sink?.kind === 'wav') checkTemplate(sink.file);
    // What is there already may be there to be captured.
    for (const { sink } of routes)
      if (sink?.kind === 'wav' && !existsSync(sink.file)) checkTemplate(sink.file);
    if (source?.kind === 'wav' && !source.file.includes('{')) clockedSource(source, clock);
  }

  deviceFor(address: StreamAddress): PcmDevice {
    const { guest, devid, pcmDevice, config } = address;
    const { type, uniqueId, index } = config;
    const log = (message: string) => guest.log({ devid, stream: `${pcmDevice}/${index}`, message });
    const id = `id ${JSON.stringify(uniqueId.slice(0, 80))}`;
    if (type === 'playback') {
      const device = this.#sinkFor(address, log);
      log(`${id} plays into ${device.description}`);
      return loggedPlayback(device, log);
    }
    const device = this.#sourceFor(address, log);
    log(`${id} captures from ${device.description}`);
    return loggedCapture(device, log);
  }

  #sinkFor(address: StreamAddress, log: (message: string) => void): PlaybackDevice {
    const { routes, sink } = this.#options;
    const id = address.config.uniqueId;
    const named = fittingRoute(routes, address.config)?.sink ?? sink ?? deviceOfId(id);
    if (named) return this.#makeSink(named, address, log);
    return looksLikeDevice(id) ? unusableSink(NOT_FOR_GUESTS) : this.#sharedDevice('null');
  }

  #sourceFor(address: StreamAddress, log: (message: string) => void): CaptureDevice {
    const { routes, source } = this.#options;
    const id = address.config.uniqueId;
    const named = fittingRoute(routes, address.config)?.source ?? source;
    if (named) return this.#makeSource(named, address, log);
    const own = deviceOfId(id);
    if (own === undefined) {
      return looksLikeDevice(id)
        ? unusableSource(NOT_FOR_GUESTS)
        : this.#makeSource({ kind: 'silence' }, address, log);
    }
    const device = this.#makeSource(own, address, log);
    if (own.kind !== 'pulse' || own.device !== undefined) return device;
    const openCapture: CaptureDevice['openCapture'] = async (params, feed) => {
      const release = address.guest.hold('programs', 1, 'one more program');
      const found = { ...own, device: await defaultSource().finally(release) };
      return await this.#makeSource(found, address, log).openCapture(params, feed);
    };
    return { ...device, openCapture };
  }

  #makeSink(sink: SinkName, address: StreamAddress, log: (message: string) => void): PlaybackDevice {
    switch (sink.kind) {
      case 'null':
      case 'speaker':
        return this.#sharedDevice(sink.kind);
      case 'wav':
        return this.#wavDevice(fillIn(sink.file, wavValues(address)), address, log);
      default:
        return this.#player(sink, address);
    }
  }

  #makeSource(source: SourceName, address: StreamAddress, log: (message: string) => void): CaptureDevice {
    const { clock } = this.#options;
    switch (source.kind) {
      case 'silence':
      case 'sine':
        return clockedSource(source, clock);
      case 'wav':
        return this.#wavSource(fillIn(source.file, wavValues(address)));
      default:
        return this.#recorder(source, address, log);
    }
  }

  #wavDevice(file: string, { guest }: StreamAddress, log: (message: string) => void): PlaybackDevice {
    return wavDevice(file, this.#options.clock, this.#takes, (open) => keepWithin(guest, open, log));
  }

  #player(sink: HostName, address: StreamAddress): PlaybackDevice {
    const { guest } = address;
    const { setPipeSize } = this.#options;
    const options = { ...playerFor(sink, numbersOf(address)), setPipeSize, admit: admitStart(guest) };
    return countedPlayback(execPlaybackDevice(options), guest);
  }

  #recorder(source: HostName, address: StreamAddress, log: (message: string) => void): CaptureDevice {
    const { guest } = address;
    const { clock } = this.#options;
    const how = { clock, isLive: source.kind !== 'exec', admit: admitStart(guest), log };
    const program = recorderFor(source, numbersOf(address));
    return countedCapture(execCaptureDevice({ ...program, ...how }), guest);
  }

  /** One guest's file that cannot be read leaves the card's other streams alone. */
  #wavSource(file: string): CaptureDevice {
    try {
      return clockedSource({ kind: 'wav', file }, this.#options.clock);
    } catch (error) {
      if (!isVsndError(error, 'ERR_VSND_FILE')) throw error;
      return unusableSource(error.message);
    }
  }

  async #openShared(kind: 'null' | 'speaker'): Promise<void> {
    this.#shared.set(kind, (await openSink(kind, this.#options.clock)).deviceFor());
  }

  #sharedDevice(kind: 'null' | 'speaker'): PlaybackDevice {
    const device = this.#shared.get(kind);
    if (device === undefined) throw new VsndError('ERR_VSND_INVALID_STATE', `${kind} has not been opened`);
    return device;
  }
}

/** A START after STOP that runs a program anew costs as much as an OPEN. */
function admitStart(guest: Guest): Admit {
  return (signal) => guest.admitOpen(signal, 'one more START');
}

/** Why the device that an id was meant to name is not used. */
const NOT_FOR_GUESTS = 'a guest may not choose this device; --map can';

/** An id that names no device that a guest may choose, but was meant to. */
function looksLikeDevice(id: string): boolean {
  return /^(alsa|pulse)</.test(id);
}

/** A directory whose name depends on the guest cannot be looked at yet. */
function checkTemplate(file: string): void {
  if (!dirname(file).includes('{')) checkWritable(file);
}

function wavValues(address: StreamAddress): Record<string, string> {
  const values = Object.entries(numbersOf(address)).map(([name, value]) => [name, String(value)]);
  return { ...Object.fromEntries(values), id: fileNameOf(address.config.uniqueId) };
}

/** A unique-id as part of a file's name: a guest must not leave the directory. */
function fileNameOf(id: string): string {
  return id.slice(0, 64).replace(/[^A-Za-z0-9_-]/g, '_') || '_';
}

const ALL_FORMATS = PCM_FORMATS.map(({ name }) => name);

function unusableSink(why: string): PlaybackDevice {
  const openPlayback = () =>
    Promise.reject(new VsndError('ERR_VSND_DEVICE', `it plays into nothing: ${why}`));
  return { description: `nothing: ${why}`, formats: ALL_FORMATS, openPlayback };
}

function unusableSource(why: string): CaptureDevice {
  const openCapture = () => Promise.reject(new VsndError('ERR_VSND_DEVICE', `it captures nothing: ${why}`));
  return { description: `nothing: ${why}`, formats: ALL_FORMATS, openCapture };
}
