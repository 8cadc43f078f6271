import { type StreamPlace, streamsOf } from '../config/card.ts';
import { invalidArgError, VsndError } from '../errors.ts';
import type { CardInfo } from '../frontend/discovery.ts';
import { checkBoolean } from '../frontend/stream-options.ts';
import { checkOptionNames, type OptionNames } from '../option-names.ts';
import { cardMap, pulseFormatOf } from '../pulse/sample-spec.ts';
import { MOST_CHANNELS } from '../pulse/tagged.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { chooseSpec } from './choose-spec.ts';
import { cardName, checkName, printable } from './names.ts';
import type { TargetPlan } from './target.ts';

/** What {@link createSoundServer} offers, where, and to whom. */
export interface SoundServerOptions {
  /**
   * The socket. By default `native` in a directory of this user's: `$XDG_RUNTIME_DIR/vsnd`. Its directory is made with mode
   * 0700 where it is missing, and must be this user's alone, unless `access` lets others in.
   */
  path?: string | undefined;
  /** A socket that somebody else listens at, as systemd does, by its file descriptor. Instead of `path`. */
  fd?: number | undefined;
  /** Who may connect: 'user', this one and root, by default; or 'all' users of this guest. */
  access?: 'user' | 'all' | undefined;
  /** Whether programs can play; by default whether the card can. */
  sink?: boolean | undefined;
  /** Whether programs can record; by default whether the card can. */
  source?: boolean | undefined;
  /** What programs choose sinks by, and sources, with '.source' behind it; by default from the card's name. */
  name?: string | undefined;
  /** The PCM device that is the default one; by default the first. */
  device?: number | undefined;
  /** By `media.role`, the PCM devices that streams go to whose program chose none. */
  roles?: Readonly<Record<string, number>> | undefined;
  /** Hz; by default 48000 where the card has it. */
  rate?: number | undefined;
  /** By default 2 where the card has them. */
  channels?: number | undefined;
  /** By default 's16_le' where the card has it. */
  format?: PcmFormatName | undefined;
  /** What waits at the card at the most, ms: 10 to 2000; by default 100. Programs that ask for less have less. */
  latency?: number | undefined;
  /** Aborting it gives up, or closes the server. */
  signal?: AbortSignal | undefined;
}

const SOUND_SERVER_OPTIONS: OptionNames<SoundServerOptions> = {
  path: true,
  fd: true,
  access: true,
  sink: true,
  source: true,
  name: true,
  device: true,
  roles: true,
  rate: true,
  channels: true,
  format: true,
  latency: true,
  signal: true,
};

/** ms */
const LATENCY = { least: 10, most: 2000, usual: 100 };

/** Throws ERR_VSND_INVALID_ARG. */
export function checkSoundServerOptions(options: SoundServerOptions): void {
  checkOptionNames('createSoundServer()', options, SOUND_SERVER_OPTIONS);
  const { path, fd, access, name, roles, latency, signal } = options;
  for (const key of ['sink', 'source'] as const) checkBoolean(key, options[key]);
  if (path !== undefined && fd !== undefined) throw invalidArgError('fd', fd, 'none beside a path');
  if (fd !== undefined && !(Number.isInteger(fd) && fd >= 0)) {
    throw invalidArgError('fd', fd, 'a file descriptor: a whole number from 0');
  }
  if (access !== undefined && access !== 'user' && access !== 'all') {
    throw invalidArgError('access', access, 'user, all');
  }
  checkName(name);
  if (roles !== undefined && (typeof roles !== 'object' || roles === null)) {
    throw invalidArgError('roles', roles, "an object: a PCM device's index by each media.role");
  }
  if (latency !== undefined && !(latency >= LATENCY.least && latency <= LATENCY.most)) {
    throw invalidArgError('latency', latency, `${LATENCY.least} to ${LATENCY.most} (ms)`);
  }
  if (signal !== undefined && typeof signal?.aborted !== 'boolean') {
    throw invalidArgError('signal', signal, 'an AbortSignal');
  }
}

/** What a server is to have, the default ones first. */
export interface ServerPlan {
  readonly sinks: readonly TargetPlan[];
  readonly sources: readonly TargetPlan[];
  /** Indexes of sinks. */
  readonly roles: ReadonlyMap<string, number>;
}

/** What the card can be to clients. Throws ERR_VSND_NO_STREAM, ERR_VSND_INVALID_ARG, ERR_VSND_NOT_SUPPORTED. */
export function planServer(info: CardInfo, options: SoundServerOptions): ServerPlan {
  const sinks = options.sink === false ? [] : planTargets(info, 'sink', options);
  const sources = options.source === false ? [] : planTargets(info, 'source', options);
  if (sinks.length + sources.length === 0) {
    const where = options.device === undefined ? '' : `, device ${options.device}`;
    throw new VsndError(
      'ERR_VSND_NO_STREAM',
      `card ${info.devid}${where} has nothing that programs could use`,
    );
  }
  const devices = sinks.map(({ device }) => device);
  const roles = Object.entries(options.roles ?? {}).map(([role, device]): [string, number] => {
    const index = devices.indexOf(device);
    if (index === -1)
      throw invalidArgError(`the PCM device of role ${role}`, device, devices.join(', ') || 'none');
    return [role, index];
  });
  return { sinks, sources, roles: new Map(roles) };
}

function planTargets(
  info: CardInfo,
  direction: 'sink' | 'source',
  options: SoundServerOptions,
): TargetPlan[] {
  const type = direction === 'sink' ? 'playback' : 'capture';
  const places = firstOfEachDevice(streamsOf(info, { type }));
  const chosen = places.filter(({ device }) => device === options.device);
  const others = places.filter(({ device }) => device !== options.device);
  if (options[direction] === true && places.length === 0) {
    throw new VsndError('ERR_VSND_NO_STREAM', `card ${info.devid} has no ${type} stream`);
  }
  if (options.device !== undefined && chosen.length === 0 && direction === 'sink' && places.length > 0) {
    throw invalidArgError('device', options.device, places.map(({ device }) => device).join(', '));
  }
  return [...chosen, ...others].map((place, index) => planTarget(info, direction, place, index, options));
}

function planTarget(
  info: CardInfo,
  direction: 'sink' | 'source',
  { device, config }: StreamPlace,
  index: number,
  options: SoundServerOptions,
): TargetPlan {
  const spec = chooseSpec(
    config,
    options,
    (format, channels) => pulseFormatOf(format) !== undefined && channels <= MOST_CHANNELS,
  );
  const code = pulseFormatOf(spec.format)?.code ?? 0;
  const base = `${options.name ?? cardName(info)}${index === 0 ? '' : `.${device}`}`;
  const card = info.longName ?? info.shortName ?? `Virtual sound card ${info.devid}`;
  const deviceName = info.pcmDevices.find((one) => one.index === device)?.name;
  const description = deviceName === undefined || index === 0 ? card : `${card}, ${deviceName}`;
  return {
    direction,
    index,
    name: direction === 'sink' ? base : `${base}.source`,
    description: printable(description),
    device,
    spec,
    format: {
      spec: { format: code, channels: spec.channels, rate: spec.rate },
      map: cardMap(spec.channels),
    },
    latency: (options.latency ?? LATENCY.usual) / 1000,
  };
}

function firstOfEachDevice(places: readonly StreamPlace[]): StreamPlace[] {
  return places.filter(({ device }, index) => places.findIndex((other) => other.device === device) === index);
}
