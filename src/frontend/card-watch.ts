import { DEVICE_CLASS } from '../config/fields.ts';
import { abortable, deferred } from '../deferred.ts';
import { isVsndError } from '../errors.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { OWNERS_PATIENCE, XenStoreClient } from '../xenstore/client.ts';
import { type CardInfo, findCards, readCard } from './discovery.ts';

/** A card of this guest that has appeared, or vanished. */
export interface CardChange {
  /** What has become of the card. */
  readonly type: 'added' | 'removed';
  /** As it was when it appeared. */
  readonly card: CardInfo;
}

/**
 * The guest's cards, then each that the toolstack adds or removes, for as long as somebody iterates; that holds the
 * process. A card whose configuration cannot be understood appears once it can. Throws as {@link findCards}, and the
 * signal's AbortError.
 */
export async function* watchCards(
  hypervisor: Hypervisor,
  signal?: AbortSignal,
): AsyncGenerator<CardChange, never> {
  const known = new Map<number, CardInfo>();
  let changed = deferred();
  const xenstore = await XenStoreClient.open(hypervisor, { patience: OWNERS_PATIENCE });
  xenstore.follow((change) => change === 'failed' && changed.resolve());
  hypervisor.ref();
  try {
    await xenstore.watch(`device/${DEVICE_CLASS}`, () => changed.resolve());
    for (;;) {
      await abortable(changed.promise, signal);
      changed = deferred();
      yield* compare(xenstore, known);
    }
  } finally {
    hypervisor.unref();
    await xenstore.close();
  }
}

/** Brings `known` up to date, and tells of each change. */
async function* compare(xenstore: XenStoreClient, known: Map<number, CardInfo>): AsyncGenerator<CardChange> {
  const found = await findCards(xenstore);
  for (const [devid, card] of known) {
    if (found.includes(devid)) continue;
    known.delete(devid);
    yield { type: 'removed', card };
  }
  for (const devid of found) {
    if (known.has(devid)) continue;
    const card = await readCard(xenstore, devid).catch(undefinedIfUnfinished);
    if (card === undefined) continue;
    known.set(devid, card);
    yield { type: 'added', card };
  }
}

/** The toolstack is not done with it, or it has vanished again. */
function undefinedIfUnfinished(error: unknown): undefined {
  if (!isVsndError(error, 'ERR_VSND_CONFIG') && !isVsndError(error, 'ERR_VSND_NO_CARD')) throw error;
}
