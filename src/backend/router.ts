import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../clock.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { PCM_FORMATS } from '../wire/pcm-format.ts';
import type { StreamAddress } from './card.ts';
import { deviceOfId, type SinkName, type SourceName } from './device-names.ts';
import { wavDevice } from './devices.ts';
import { execCaptureDevice } from './exec-capture.ts';
import { execPlaybackDevice } from './exec-playback.ts';
import type { CaptureDevice, CaptureVoice, PcmDevice, PlaybackDevice } from './pcm-device.ts';
import type { SetPipeSize } from './player.ts';
import { alsaProgram, fillIn, pulseProgram, shellProgram } from './programs.ts';
import { matchesPattern, type Route } from './routes.ts';
import { checkWritable, openSink } from './sinks.ts';
import { clockedSource } from './sources.ts';
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
  /** Takes note of where a stream goes or comes from, of its OPEN and its CLOSE. */
  log(message: string, address: StreamAddress): void;
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
    const { type, uniqueId } = address.config;
    const log = (message: string) => this.#options.log(message, address);
    const id = `id ${JSON.stringify(uniqueId.slice(0, 80))}`;
    if (type === 'playback') {
      const device = this.#sinkFor(address);
      log(`${id} plays into ${device.description}`);
      return loggedPlayback(device, log);
    }
    const device = this.#sourceFor(address, log);
    log(`${id} captures from ${device.description}`);
    return loggedCapture(device, log);
  }

  #sinkFor(address: StreamAddress): PlaybackDevice {
    const { routes, sink } = this.#options;
    const id = address.config.uniqueId;
    const route = routes.find(({ pattern, sink }) => sink && matchesPattern(pattern, id));
    const named = route?.sink ?? sink ?? deviceOfId(id);
    if (named) return this.#makeSink(named, address);
    return looksLikeDevice(id)
      ? unusableSink('this is not the name of a device')
      : this.#sharedDevice('null');
  }

  #sourceFor(address: StreamAddress, log: (message: string) => void): CaptureDevice {
    const { routes, source } = this.#options;
    const id = address.config.uniqueId;
    const route = routes.find(({ pattern, source }) => source && matchesPattern(pattern, id));
    const named = route?.source ?? source ?? deviceOfId(id);
    if (named) return this.#makeSource(named, address, log);
    if (looksLikeDevice(id)) return unusableSource('this is not the name of a device');
    return this.#makeSource({ kind: 'silence' }, address, log);
  }

  #makeSink(sink: SinkName, address: StreamAddress): PlaybackDevice {
    const { setPipeSize } = this.#options;
    switch (sink.kind) {
      case 'null':
      case 'speaker':
        return this.#sharedDevice(sink.kind);
      case 'wav':
        return wavDevice(fillIn(sink.file, wavValues(address)), this.#options.clock, this.#takes);
      case 'exec':
        return execPlaybackDevice({ ...shellProgram(sink.command, address), setPipeSize });
      case 'alsa':
        return execPlaybackDevice({ ...alsaProgram('aplay', sink.device), setPipeSize });
      case 'pulse': {
        const program = pulseProgram('pacat', sink.device, sink.properties, address);
        return execPlaybackDevice({ ...program, setPipeSize });
      }
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
      case 'exec':
        return execCaptureDevice({ ...shellProgram(source.command, address), clock, isLive: false, log });
      case 'alsa':
        return execCaptureDevice({ ...alsaProgram('arecord', source.device), clock, isLive: true, log });
      case 'pulse': {
        const program = pulseProgram('parec', source.device, source.properties, address);
        return execCaptureDevice({ ...program, clock, isLive: true, log });
      }
    }
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
    this.#shared.set(kind, (await openSink(kind, this.#options.clock)).device);
  }

  #sharedDevice(kind: 'null' | 'speaker'): PlaybackDevice {
    const device = this.#shared.get(kind);
    if (device === undefined) throw new VsndError('ERR_VSND_INVALID_STATE', `${kind} has not been opened`);
    return device;
  }
}

/** An id that names no device as it should, but was meant to. */
function looksLikeDevice(id: string): boolean {
  return /^(alsa|pulse)</.test(id);
}

/** A directory whose name depends on the guest cannot be looked at yet. */
function checkTemplate(file: string): void {
  if (!dirname(file).includes('{')) checkWritable(file);
}

function wavValues({ frontendDomid, devid, pcmDevice, config }: StreamAddress): Record<string, string> {
  const { index, uniqueId } = config;
  const numbers = { domid: frontendDomid, devid, pcm: pcmDevice, stream: index };
  const values = Object.entries(numbers).map(([name, value]) => [name, String(value)]);
  return { ...Object.fromEntries(values), id: fileNameOf(uniqueId) };
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

/** The same device, with a note of each OPEN and its CLOSE. */
function loggedPlayback(device: PlaybackDevice, log: (message: string) => void): PlaybackDevice {
  return {
    ...device,
    openPlayback: async (params, feed) => {
      const voice = await device.openPlayback(params, feed);
      log(`opened: ${params.format}, ${params.rate} Hz, ${params.channels} channels`);
      return {
        ...triggersOf(voice),
        refilled: () => voice.refilled(),
        close: async (options) => {
          await voice.close(options);
          log('closed');
        },
      };
    },
  };
}

function loggedCapture(device: CaptureDevice, log: (message: string) => void): CaptureDevice {
  return {
    ...device,
    openCapture: async (params, feed) => {
      const voice = await device.openCapture(params, feed);
      log(`opened: ${params.format}, ${params.rate} Hz, ${params.channels} channels`);
      return {
        ...triggersOf(voice),
        close: async () => {
          await voice.close();
          log('closed');
        },
      };
    },
  };
}

/** Spread, a voice would lose its methods. */
function triggersOf(voice: Omit<CaptureVoice, 'close'>): Omit<CaptureVoice, 'close'> {
  return {
    start: () => voice.start(),
    pause: () => voice.pause(),
    resume: () => voice.resume(),
    stop: () => voice.stop(),
  };
}
