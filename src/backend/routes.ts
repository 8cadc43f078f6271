import { dirname } from 'node:path';
import type { Clock } from '../clock.ts';
import { invalidArg, VsndError } from '../errors.ts';
import { PCM_FORMATS } from '../wire/pcm-format.ts';
import type { StreamAddress } from './card.ts';
import { wavDevice } from './devices.ts';
import type { DeviceParams, PcmDevice, PlaybackFeed, PlaybackVoice } from './pcm-device.ts';
import type { SetPipeSize } from './player.ts';
import { aplayDevice, fillIn, pacatDevice, shellDevice } from './programs.ts';
import { checkWritable, openSink } from './sinks.ts';

/** A sink as its name says it. */
export type SinkName =
  | { readonly kind: 'null' | 'speaker' }
  | { readonly kind: 'wav'; readonly file: string }
  | { readonly kind: 'exec'; readonly command: string }
  | { readonly kind: 'alsa'; readonly device: string | undefined }
  | { readonly kind: 'pulse'; readonly sink: string | undefined; readonly properties: readonly string[] };

/** Where the streams whose unique-id fits the pattern go. */
export interface Route {
  /** A unique-id, in which each `*` stands for any characters or none. */
  readonly pattern: string;
  readonly sink: SinkName;
}

const ALLOWED = 'null, speaker, wav:FILE, exec:COMMAND, alsa, alsa<DEVICE>, pulse, pulse<SINK>';

/** What a WAV file's name may have in braces. */
const WAV_PLACEHOLDERS = ['domid', 'devid', 'pcm', 'stream', 'id'];

/** The sink that `name` means. Throws ERR_VSND_INVALID_ARG, for `option`. */
export function parseSink(name: string, option = '--sink'): SinkName {
  const sink = sinkOf(name);
  if (sink === undefined) throw invalidArg(option, name, ALLOWED);
  if (sink.kind === 'wav') checkPlaceholders(sink.file, option);
  if (sink.kind === 'exec' && /\{id\}|VSND_ID\b/.test(sink.command)) {
    throw invalidArg(option, name, 'a command without {id}: a guest writes it, and a shell would read it');
  }
  return sink;
}

/** The route that `ID=SINK` means: the first `=` before a sink's name counts. Throws ERR_VSND_INVALID_ARG. */
export function parseRoute(route: string): Route {
  for (let at = route.indexOf('='); at !== -1; at = route.indexOf('=', at + 1)) {
    const name = route.slice(at + 1);
    if (sinkOf(name)) return { pattern: route.slice(0, at), sink: parseSink(name, '--map') };
  }
  throw invalidArg('--map', route, `ID=SINK, where SINK is one of ${ALLOWED}`);
}

/** Whether a unique-id fits a pattern. */
export function matchesPattern(pattern: string, id: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return id === pattern;
  if (!id.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = id.indexOf(part, at); // the earliest place leaves most for those behind it
    if (found === -1) return false;
    at = found + part.length;
  }
  return id.length - last.length >= at && id.endsWith(last);
}

export interface RouterOptions {
  /** Asked in this order; the first that fits counts. */
  readonly routes: readonly Route[];
  /**
   * For what no route fits. Without it the unique-id may name a sink of ALSA's or Pulse's; the rest goes to
   * null.
   */
  readonly sink: SinkName | undefined;
  readonly clock: Clock;
  readonly setPipeSize?: SetPipeSize | undefined;
  /** Takes note of where a stream goes, of its OPEN and its CLOSE. */
  log(message: string, address: StreamAddress): void;
}

/**
 * Opens what all streams share, and returns what finds the device of one. Rejects as {@link openSink} for a
 * speaker that cannot be used, with ERR_VSND_FILE for a WAV file that cannot be written.
 */
export async function openRouter(options: RouterOptions): Promise<(address: StreamAddress) => PcmDevice> {
  const router = new Router(options);
  await router.open();
  return (address) => router.deviceFor(address);
}

class Router {
  readonly #options: RouterOptions;
  /** Shared by all streams, by kind or by file: two streams of one file must not get the same number. */
  readonly #shared = new Map<string, PcmDevice>();

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { routes, sink, clock } = this.#options;
    this.#shared.set('null', (await openSink('null', clock)).device);
    const sinks = [...routes.map((route) => route.sink), ...(sink ? [sink] : [])];
    if (sinks.some(({ kind }) => kind === 'speaker')) {
      this.#shared.set('speaker', (await openSink('speaker', clock)).device);
    }
    for (const named of sinks) if (named.kind === 'wav') checkTemplate(named.file);
  }

  deviceFor(address: StreamAddress): PcmDevice {
    const { type, uniqueId } = address.config;
    const log = (message: string) => this.#options.log(message, address);
    if (type === 'capture') {
      log(`id ${JSON.stringify(uniqueId)}: capture is not served`);
      return this.#sharedDevice('null');
    }
    const device = this.#choose(address);
    log(`id ${JSON.stringify(uniqueId)} plays into ${device.description}`);
    return logged(device, log);
  }

  #choose(address: StreamAddress): PcmDevice {
    const { routes, sink } = this.#options;
    const id = address.config.uniqueId;
    const named = routes.find(({ pattern }) => matchesPattern(pattern, id))?.sink ?? sink;
    if (named) return this.#make(named, address);
    const own = idSink(id);
    if (own) return this.#make(own, address);
    if (/^(alsa|pulse)</.test(id)) return unusableDevice('nothing: this is not the name of a device');
    return this.#sharedDevice('null');
  }

  #make(sink: SinkName, address: StreamAddress): PcmDevice {
    const { setPipeSize } = this.#options;
    switch (sink.kind) {
      case 'null':
      case 'speaker':
        return this.#sharedDevice(sink.kind);
      case 'wav':
        return this.#wavDevice(fillIn(sink.file, wavValues(address)));
      case 'exec':
        return shellDevice(sink.command, address, { setPipeSize });
      case 'alsa':
        return aplayDevice(sink.device, { setPipeSize });
      case 'pulse':
        return pacatDevice(sink.sink, sink.properties, address, { setPipeSize });
    }
  }

  #wavDevice(file: string): PcmDevice {
    const key = `wav:${file}`;
    const device = this.#shared.get(key) ?? wavDevice(file, this.#options.clock);
    this.#shared.set(key, device);
    return device;
  }

  #sharedDevice(kind: 'null' | 'speaker'): PcmDevice {
    const device = this.#shared.get(kind);
    if (device === undefined) throw new VsndError('ERR_VSND_INVALID_STATE', `${kind} has not been opened`);
    return device;
  }
}

function sinkOf(name: string): SinkName | undefined {
  if (name === 'null' || name === 'speaker') return { kind: name };
  const file = /^wav:(.+)$/s.exec(name)?.[1];
  if (file !== undefined) return { kind: 'wav', file };
  const command = /^exec:(.*\S.*)$/s.exec(name)?.[1];
  if (command !== undefined) return { kind: 'exec', command };
  return idSink(name);
}

/** A device of ALSA's that has no arguments: it may be one of the operator's own asound.conf. */
const ALSA_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** Those of ALSA's own that lead to a card, and what says to which: others write files, or run programs. */
const ALSA_CARDS =
  /^(hw|plughw|dmix|default|sysdefault|front|rear|center_lfe|side|surround\d\d|iec958|spdif|hdmi)$/;
const ALSA_ARGUMENTS = /^[A-Za-z0-9_=,.-]{1,64}$/;

const PULSE_SINK = /^[A-Za-z0-9@][A-Za-z0-9._:+@-]{0,127}$/;
const PULSE_PROPERTY = /^([a-z][a-z0-9._-]{0,63}):([A-Za-z0-9][A-Za-z0-9 ._-]{0,63})$/;

/**
 * The sink that a unique-id names by itself, as existing guests have it: `alsa`, `alsa<hw:0;0>`, `pulse`,
 * `pulse<sink>`, `pulse<sink>media.role:navi`; `;` stands for `,`. A guest can write what it likes there:
 * only what is surely the name of a device counts.
 */
function idSink(id: string): SinkName | undefined {
  const [, server, named, rest = ''] = /^(alsa|pulse)(?:<([^<>]*)>([^<>]*))?$/.exec(id) ?? [];
  const name = named || undefined;
  if (server === 'alsa') {
    const device = name?.replaceAll(';', ',');
    const isUsable = device === undefined || isAlsaDevice(device);
    return isUsable && rest === '' ? { kind: 'alsa', device } : undefined;
  }
  if (server === 'pulse') {
    const properties = rest === '' ? [] : rest.split(';').map(pulseProperty);
    const isUsable = (name === undefined || PULSE_SINK.test(name)) && !properties.includes(undefined);
    if (!isUsable) return undefined;
    return { kind: 'pulse', sink: name, properties: properties.filter((item) => item !== undefined) };
  }
  return undefined;
}

function isAlsaDevice(device: string): boolean {
  const [name = '', args, ...more] = device.split(':');
  if (args === undefined) return ALSA_NAME.test(name);
  return ALSA_CARDS.test(name) && ALSA_ARGUMENTS.test(args) && more.length === 0;
}

function pulseProperty(text: string): string | undefined {
  const [, name, value] = PULSE_PROPERTY.exec(text) ?? [];
  return name === undefined ? undefined : `${name}=${value}`;
}

function checkPlaceholders(file: string, option: string): void {
  for (const [whole, name = ''] of file.matchAll(/\{([^{}]*)\}/g)) {
    if (WAV_PLACEHOLDERS.includes(name)) continue;
    throw invalidArg(
      `a placeholder of ${option}`,
      whole,
      WAV_PLACEHOLDERS.map((allowed) => `{${allowed}}`).join(', '),
    );
  }
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

function unusableDevice(description: string): PcmDevice {
  return {
    description,
    formats: PCM_FORMATS.map(({ name }) => name),
    openPlayback: async () => {
      throw new VsndError('ERR_VSND_DEVICE', `it plays into ${description}`);
    },
  };
}

/** The same device, with a note of each OPEN and its CLOSE. */
function logged(device: PcmDevice, log: (message: string) => void): PcmDevice {
  return {
    description: device.description,
    formats: device.formats,
    openPlayback: async (params: DeviceParams, feed: PlaybackFeed) => {
      const voice = await device.openPlayback(params, feed);
      log(`opened: ${params.format}, ${params.rate} Hz, ${params.channels} channels`);
      return loggedVoice(voice, log);
    },
  };
}

function loggedVoice(voice: PlaybackVoice, log: (message: string) => void): PlaybackVoice {
  return {
    start: () => voice.start(),
    pause: () => voice.pause(),
    resume: () => voice.resume(),
    stop: () => voice.stop(),
    refilled: () => voice.refilled(),
    close: async (options) => {
      await voice.close(options);
      log('closed');
    },
  };
}
