import type { StreamLimits } from '../pcm/hw-params.ts';
import {
  completeLimits,
  Field,
  type Fields,
  narrowLimits,
  parseStreamType,
  type SaidLimits,
} from './fields.ts';
import { type ConfigWarning, ConfigWarnings, quote } from './warnings.ts';

/** One stream of a PCM device. */
export interface StreamConfig extends StreamLimits {
  /** The number in its PCM device, from 0. */
  readonly index: number;
  /** Which way its frames go, as the guest sees it. */
  readonly type: 'playback' | 'capture';
  /** What the backend knows the stream by; empty where the toolstack left it out. */
  readonly uniqueId: string;
  /** The stream's own node in XenStore. */
  readonly path: string;
}

/** One PCM device of a card. */
export interface PcmDeviceConfig {
  /** The number on its card, from 0. */
  readonly index: number;
  /** What xl.cfg calls it; undefined where it does not. */
  readonly name: string | undefined;
  /** In the order of their indexes. */
  readonly streams: readonly StreamConfig[];
}

export interface CardConfig {
  readonly path: string;
  readonly shortName: string | undefined;
  readonly longName: string | undefined;
  readonly pcmDevices: readonly PcmDeviceConfig[];
  /** What in it cannot be meant so, and what is made of it; not more than a person reads. */
  readonly warnings: readonly ConfigWarning[];
}

/** Where a stream is on its card. */
export interface StreamPlace {
  /** The PCM device's index. */
  readonly device: number;
  readonly config: StreamConfig;
}

/** A card's streams, in the order of their indexes: all, or those of a `type` and of a PCM `device`. */
export function streamsOf(
  { pcmDevices }: Pick<CardConfig, 'pcmDevices'>,
  { type, device }: { type?: StreamConfig['type']; device?: number | undefined } = {},
): StreamPlace[] {
  return pcmDevices
    .filter(({ index }) => index === (device ?? index))
    .flatMap(({ index, streams }) => streams.map((config) => ({ device: index, config })))
    .filter(({ config }) => config.type === (type ?? config.type));
}

/** A node of XenStore with its values and the nodes below it. */
export interface ConfigNode {
  readonly fields: Fields;
  /** Those with the indexes 0, 1, 2 and so on. */
  readonly children: readonly ConfigNode[];
  /** Further indexes, behind a gap. */
  readonly astray?: readonly string[];
}

/**
 * Understands the configuration of one card: its PCM devices and their streams, in the order of their indexes, each
 * level narrowing what the one above allows (sndif.h, "PCM settings"). What cannot be understood is left out, with a
 * warning. Throws ERR_VSND_CONFIG, naming node and value, for a stream of which nobody knows whether it plays.
 */
export function parseCardConfig(card: ConfigNode, path: string): CardConfig {
  const warnings = new ConfigWarnings();
  warnAstray(card, path, warnings);
  const said = narrowLimits({}, card.fields, path, warnings);
  const pcmDevices = card.children.map((device, index) =>
    parsePcmDevice(device, index, said, `${path}/${index}`, warnings),
  );
  const { [Field.shortName]: shortName, [Field.longName]: longName } = card.fields;
  return { path, shortName, longName, pcmDevices, warnings: warnings.all };
}

function parsePcmDevice(
  node: ConfigNode,
  index: number,
  upper: SaidLimits,
  path: string,
  warnings: ConfigWarnings,
): PcmDeviceConfig {
  warnAstray(node, path, warnings);
  if (node.children.length === 0)
    warnings.add(`${path}/0`, undefined, 'a PCM device without streams, which can do nothing');
  const said = narrowLimits(upper, node.fields, path, warnings);
  const streams = node.children.map((stream, streamIndex) =>
    parseStream(stream, streamIndex, said, `${path}/${streamIndex}`, warnings),
  );
  return { index, name: node.fields[Field.deviceName], streams };
}

function parseStream(
  node: ConfigNode,
  index: number,
  upper: SaidLimits,
  path: string,
  warnings: ConfigWarnings,
): StreamConfig {
  return {
    index,
    type: parseStreamType(node.fields, path),
    uniqueId: node.fields[Field.uniqueId] ?? '',
    path,
    ...completeLimits(narrowLimits(upper, node.fields, path, warnings)),
  };
}

/** Backends count from 0 to the first gap as well. */
function warnAstray({ children, astray = [] }: ConfigNode, path: string, warnings: ConfigWarnings): void {
  const [first] = astray;
  if (first === undefined) return;
  const remark = `what comes behind that gap, as ${quote(first)}, is left out`;
  warnings.add(`${path}/${children.length}`, undefined, remark);
}
