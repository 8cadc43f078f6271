import type { XenStoreClient } from '../xenstore/client.ts';
import { type CardConfig, type ConfigNode, parseCardConfig } from './card.ts';
import { Field, LIMIT_FIELDS } from './fields.ts';

const CARD_FIELDS = [...LIMIT_FIELDS, Field.shortName, Field.longName];
const PCM_FIELDS = [...LIMIT_FIELDS, Field.deviceName];
const STREAM_FIELDS = [...LIMIT_FIELDS, Field.type, Field.uniqueId];

/** Reads and understands the configuration of the card at `path`. Rejects with ERR_VSND_CONFIG or ERR_VSND_XENSTORE. */
export async function readCardConfig(xenstore: XenStoreClient, path: string): Promise<CardConfig> {
  return parseCardConfig(await readNode(xenstore, path, [CARD_FIELDS, PCM_FIELDS, STREAM_FIELDS]), path);
}

/** Reads a node and, below it, one level for each further list of fields. */
async function readNode(
  xenstore: XenStoreClient,
  path: string,
  [names = [], ...below]: readonly (readonly string[])[],
): Promise<ConfigNode> {
  const present = await xenstore.directory(path);
  const values = names
    .filter((name) => present.includes(name))
    .map(async (name) => [name, await xenstore.read(`${path}/${name}`)] as const);
  const indexes = below.length === 0 ? [] : present.filter((name) => /^(0|[1-9]\d*)$/.test(name));
  const count = contiguousIndexes(indexes);
  const children = Array.from({ length: count }, (_, index) => readNode(xenstore, `${path}/${index}`, below));
  // One wait for all: a second one would leave the rejections of the others to nobody.
  const [fields, nodes] = await Promise.all([Promise.all(values), Promise.all(children)]);
  const astray = indexes.filter((name) => Number(name) >= count);
  return { fields: Object.fromEntries(fields), children: nodes, astray };
}

/** How many of the indexes are 0, 1, 2 and so on: sndif.h's indexes are "zero based contigous"; what follows a gap is nobody's. */
function contiguousIndexes(indexes: readonly string[]): number {
  const present = new Set(indexes);
  let count = 0;
  while (present.has(String(count))) count++;
  return count;
}
