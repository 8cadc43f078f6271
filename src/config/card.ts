import type { StreamLimits } from '../pcm/hw-params.ts';
import {
  completeLimits,
  Field,
  type Fields,
  narrowLimits,
  parseStreamType,
  type SaidLimits,
} from './fields.ts';

/** One stream of a PCM device. */
export interface StreamConfig extends StreamLimits {
  readonly index: number;
  readonly type: 'playback' | 'capture';
  /** What the backend knows the stream by; empty where the toolstack left it out. */
  readonly uniqueId: string;
  /** The stream's own node in XenStore. */
  readonly path: string;
}

export interface PcmDeviceConfig {
  readonly index: number;
  readonly name: string | undefined;
  readonly streams: readonly StreamConfig[];
}

export interface CardConfig {
  readonly path: string;
  readonly shortName: string | undefined;
  readonly longName: string | undefined;
  readonly pcmDevices: readonly PcmDeviceConfig[];
}

/** A node of XenStore with its values and the nodes below it. */
export interface ConfigNode {
  readonly fields: Fields;
  readonly children: readonly ConfigNode[];
}

/**
 * Understands the configuration of one card: its PCM devices and their streams, in the order of their indexes, each
 * level narrowing what the one above allows (sndif.h, "PCM settings"). Throws ERR_VSND_CONFIG, naming node and value.
 */
export function parseCardConfig(card: ConfigNode, path: string): CardConfig {
  const said = narrowLimits({}, card.fields, path);
  return {
    path,
    shortName: card.fields[Field.shortName],
    longName: card.fields[Field.longName],
    pcmDevices: card.children.map((device, index) => parsePcmDevice(device, index, said, `${path}/${index}`)),
  };
}

function parsePcmDevice(node: ConfigNode, index: number, upper: SaidLimits, path: string): PcmDeviceConfig {
  const said = narrowLimits(upper, node.fields, path);
  const streams = node.children.map((stream, streamIndex) =>
    parseStream(stream, streamIndex, said, `${path}/${streamIndex}`),
  );
  return { index, name: node.fields[Field.deviceName], streams };
}

function parseStream(node: ConfigNode, index: number, upper: SaidLimits, path: string): StreamConfig {
  return {
    index,
    type: parseStreamType(node.fields, path),
    uniqueId: node.fields[Field.uniqueId] ?? '',
    path,
    ...completeLimits(narrowLimits(upper, node.fields, path)),
  };
}
