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
  const count = below.length === 0 ? 0 : contiguousIndexes(present);
  const children = Array.from({ length: count }, (_, index) => readNode(xenstore, `${path}/${index}`, below));
  // One wait for all: a second one would leave the rejections of the others to nobody.
  const [fields, nodes] = await Promise.all([Promise.all(values), Promise.all(children)]);
  return { fields: Object.fromEntries(fields), children: nodes };
}

/** How many of the names are 0, 1, 2 and so on: sndif.h's indexes are "zero based contigous"; what follows a gap is nobody's. */
function contiguousIndexes(names: readonly string[]): number {
  let count = 0;
  while (names.includes(String(count))) count++;
  return count;
}
