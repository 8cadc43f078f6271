import { type StreamPlace, streamsOf } from '../config/card.ts';
import { invalidArgError, VsndError } from '../errors.ts';
import type { Card } from '../frontend/card.ts';
import { checkOptionNames, type OptionNames } from '../option-names.ts';
import type { PcmSpec } from '../pcm/hw-params.ts';
import { chooseSpec } from '../server/choose-spec.ts';
import { cardName, checkName, printable } from '../server/names.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { BridgeRoute, Direction, SoundServerAdaptor, SoundServerKind } from './sound-server.ts';

/** What {@link createBridge} makes, and of which sound server. */
export interface BridgeOptions {
  /** The sound server; by default the one that runs for this user. */
  server?: SoundServerKind | undefined;
  /**
   * How the sound goes: by PulseAudio's own tunnels ('tunnel'), in PipeWire's graph, which the card drives ('graph'), or through a
   * FIFO of either ('pipe'). By default 'tunnel' or 'graph': both know the card's clock and its latency.
   */
  via?: BridgeRoute | undefined;
  /** Whether programs can play; by default whether the card can. */
  sink?: boolean | undefined;
  /** Whether programs can record; by default whether the card can. */
  source?: boolean | undefined;
  /** What programs choose the sink by and, with '.source' behind it, the source; by default from the card's name. */
  name?: string | undefined;
  /** The PCM device's index; by default the first with a stream of the kind. */
  device?: number | undefined;
  /** Hz; by default 48000 where the card has it. */
  rate?: number | undefined;
  /** By default 2 where the card has them. */
  channels?: number | undefined;
  /** By default 's16_le' where card and server have it. */
  format?: PcmFormatName | undefined;
  /** What the bridge may add to the latency, ms: 10 to 2000; by default 100. */
  latency?: number | undefined;
  /**
   * With via: 'graph', a whole number up to 2147483647: of devices that PipeWire could use it takes the one with the highest, to drive
   * what is linked to several, and by default. By default 3000, above what WirePlumber gives ALSA's.
   */
  priority?: number | undefined;
  /** Never resample, also where the card is not the clock: frames are dropped or repeated then, and counted. */
  exact?: boolean | undefined;
  /** Aborting it gives up, or closes the bridge. */
  signal?: AbortSignal | undefined;
}

const BRIDGE_OPTIONS: OptionNames<BridgeOptions> = {
  server: true,
  via: true,
  sink: true,
  source: true,
  name: true,
  device: true,
  rate: true,
  channels: true,
  format: true,
  latency: true,
  priority: true,
  exact: true,
  signal: true,
};

/** What a sink or a source is made from, each time that there is a server. */
export interface EndpointPlan {
  readonly direction: Direction;
  readonly name: string;
  readonly description: string;
  readonly device: number;
  readonly spec: PcmSpec;
  /** ms */
  readonly latency: number;
  readonly priority: number;
  readonly exact: boolean;
}

/** ms */
const LATENCY = { least: 10, most: 2000, usual: 100 };

/** WirePlumber gives ALSA's devices 1000 to 2000. */
const PRIORITY = { most: 2 ** 31 - 1, usual: 3000 };

const STREAM_TYPES = { sink: 'playback', source: 'capture' } as const;

/** Throws ERR_VSND_INVALID_ARG. */
export function checkBridgeOptions(options: BridgeOptions): void {
  checkOptionNames('createBridge()', options, BRIDGE_OPTIONS);
  const { server, via, name, latency, priority, signal } = options;
  if (server !== undefined && server !== 'pulse' && server !== 'pipewire') {
    throw invalidArgError('server', server, 'pulse, pipewire');
  }
  if (via !== undefined && via !== 'tunnel' && via !== 'graph' && via !== 'pipe') {
    throw invalidArgError('via', via, 'tunnel, graph, pipe');
  }
  for (const key of ['sink', 'source', 'exact'] as const) {
    const value = options[key];
    if (value !== undefined && typeof value !== 'boolean') throw invalidArgError(key, value, 'true, false');
  }
  checkName(name);
  if (latency !== undefined && !(latency >= LATENCY.least && latency <= LATENCY.most)) {
    throw invalidArgError('latency', latency, `${LATENCY.least} to ${LATENCY.most} (ms)`);
  }
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= PRIORITY.most)) {
    throw invalidArgError('priority', priority, `a whole number, 0 to ${PRIORITY.most}`);
  }
  if (signal !== undefined && typeof signal?.aborted !== 'boolean') {
    throw invalidArgError('signal', signal, 'an AbortSignal');
  }
}

/** What the card can be to the server. Throws ERR_VSND_NO_STREAM, ERR_VSND_INVALID_ARG, ERR_VSND_NOT_SUPPORTED. */
export function planEndpoints(
  card: Pick<Card, 'info'>,
  adaptor: SoundServerAdaptor,
  options: BridgeOptions,
): EndpointPlan[] {
  const { devid, shortName, longName } = card.info;
  const base = options.name ?? cardName(card.info);
  const description = printable(longName ?? shortName ?? `Virtual sound card ${devid}`);
  const plans = (['sink', 'source'] as const).flatMap((direction): EndpointPlan[] => {
    const place = findPlace(card, direction, options);
    if (place === undefined) return [];
    const { device, config } = place;
    const spec = chooseSpec(config, options, (format, channels) =>
      adaptor.takes(direction, format, channels),
    );
    const name = direction === 'sink' ? base : `${base}.source`;
    const { latency = LATENCY.usual, priority = PRIORITY.usual, exact = false } = options;
    return [{ direction, name, description, device, spec, latency, priority, exact }];
  });
  if (plans.length > 0) return plans;
  const where = options.device === undefined ? `card ${devid}` : `card ${devid}, device ${options.device}`;
  throw new VsndError('ERR_VSND_NO_STREAM', `${where}: the card has nothing that a bridge could use`);
}

/** The stream that an endpoint is to use; undefined where there is to be none. */
function findPlace(
  { info }: Pick<Card, 'info'>,
  direction: Direction,
  options: BridgeOptions,
): StreamPlace | undefined {
  if (options[direction] === false) return undefined;
  const type = STREAM_TYPES[direction];
  const [place] = streamsOf(info, { type, device: options.device });
  if (place || options[direction] === undefined) return place;
  const where = options.device === undefined ? '' : `, device ${options.device}`;
  throw new VsndError('ERR_VSND_NO_STREAM', `card ${info.devid}${where} has no ${type} stream`);
}
