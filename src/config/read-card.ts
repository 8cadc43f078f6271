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
  const card = await xenstore.directory(path);
  const devices = await Promise.all(childrenOf(path, card, room).map((child) => listNode(xenstore, child)));
  const children = devices.map(async (device) => {
    const streamPaths = childrenOf(device.path, device.names, room);
    room -= streamPaths.length;
    const streams = streamPaths.map(async (stream) => {
      const { names } = await listNode(xenstore, stream);
      return { fields: await readFields(xenstore, stream, names, STREAM_FIELDS), children: [] };
    });
    return await readNode(readFields(xenstore, device.path, device.names, PCM_FIELDS), streams);
  });
  return parseCardConfig(await readNode(readFields(xenstore, path, card, CARD_FIELDS), children), path);
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
async function readNode(fields: Promise<Fields>, children: Promise<ConfigNode>[]): Promise<ConfigNode> {
  const [own, nodes] = await Promise.all([fields, Promise.all(children)]);
  return { fields: own, children: nodes };
}

/**
 * The paths of the children 0, 1, 2 and so on, `most` at most: sndif.h's indexes are "zero based contigous"; what follows
 * a gap is nobody's.
 */
function childrenOf(path: string, names: readonly string[], most: number): string[] {
  const present = new Set(names);
  const paths: string[] = [];
  while (paths.length < most && present.has(String(paths.length))) paths.push(`${path}/${paths.length}`);
  return paths;
}
