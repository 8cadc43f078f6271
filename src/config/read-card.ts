import type { XenStoreClient } from '../xenstore/client.ts';
import { type CardConfig, type ConfigNode, parseCardConfig } from './card.ts';
import { Field, type Fields, LIMIT_FIELDS } from './fields.ts';

const CARD_FIELDS = [...LIMIT_FIELDS, Field.shortName, Field.longName];
const PCM_FIELDS = [...LIMIT_FIELDS, Field.deviceName];
const STREAM_FIELDS = [...LIMIT_FIELDS, Field.type, Field.uniqueId];

/**
 * Reads and understands the configuration of the card at `path`; of more than `mostStreams` PCM devices or streams, by
 * default any number, only one more, by which that is seen: a guest may have written thousands. Rejects with
 * ERR_VSND_CONFIG or ERR_VSND_XENSTORE.
 */
export async function readCardConfig(
  xenstore: XenStoreClient,
  path: string,
  mostStreams = Number.POSITIVE_INFINITY,
): Promise<CardConfig> {
  let room = mostStreams + 1;
  const names = await xenstore.directory(path);
  const card = childrenOf(path, names, room);
  const devices = await Promise.all(card.paths.map((child) => listNode(xenstore, child)));
  const children = devices.map(async (device) => {
    const { paths, astray } = childrenOf(device.path, device.names, room);
    room -= paths.length;
    const streams = paths.map(async (stream) => {
      const present = await xenstore.directory(stream);
      return { fields: await readFields(xenstore, stream, present, STREAM_FIELDS), children: [] };
    });
    return await readNode(readFields(xenstore, device.path, device.names, PCM_FIELDS), streams, astray);
  });
  const fields = readFields(xenstore, path, names, CARD_FIELDS);
  return parseCardConfig(await readNode(fields, children, card.astray), path);
}

async function listNode(xenstore: XenStoreClient, path: string): Promise<{ path: string; names: string[] }> {
  return { path, names: await xenstore.directory(path) };
}

async function readFields(
  xenstore: XenStoreClient,
  path: string,
  present: readonly string[],
  names: readonly string[],
): Promise<Fields> {
  const values = names
    .filter((name) => present.includes(name))
    .map(async (name) => [name, await xenstore.read(`${path}/${name}`)] as const);
  return Object.fromEntries(await Promise.all(values));
}

/** One wait for all: a second one would leave the rejections of the others to nobody. */
async function readNode(
  fields: Promise<Fields>,
  children: Promise<ConfigNode>[],
  astray: readonly string[],
): Promise<ConfigNode> {
  const [own, nodes] = await Promise.all([fields, Promise.all(children)]);
  return { fields: own, children: nodes, astray };
}

/**
 * The paths of the children 0, 1, 2 and so on, `most` at most, and the names of those behind a gap: sndif.h's indexes are
 * "zero based contigous"; what follows a gap is nobody's.
 */
function childrenOf(path: string, names: readonly string[], most: number) {
  const indexes = new Set(names.filter((name) => /^(0|[1-9]\d*)$/.test(name)));
  let count = 0;
  while (indexes.has(String(count))) count++;
  const paths = Array.from({ length: Math.min(count, most) }, (_, index) => `${path}/${index}`);
  return { paths, astray: [...indexes].filter((name) => Number(name) >= count) };
}
