import type { CardConfig, PcmDeviceConfig } from '../config/card.ts';
import { DEVICE_CLASS, Field, requireNumber } from '../config/fields.ts';
import { readCardConfig } from '../config/read-card.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { type OtherendState, parseXenbusState } from '../xenbus/state.ts';
import type { XenStoreClient } from '../xenstore/client.ts';

const DOMID_MAX = 0x7fff;

/** A virtual sound card, as XenStore describes it. */
export interface CardInfo {
  /** The device's number in this guest. */
  readonly devid: number;
  /** The card's own node, absolute. */
  readonly path: string;
  readonly backendDomid: number;
  readonly backendPath: string;
  /** xenbus states of the two ends. */
  readonly state: OtherendState;
  readonly backendState: OtherendState;
  /** The protocol's versions that the backend lists, as '1,2'; most list none. */
  readonly backendVersions: string | undefined;
  readonly shortName: string | undefined;
  readonly longName: string | undefined;
  readonly pcmDevices: readonly PcmDeviceConfig[];
}

/** The numbers of this guest's cards, ascending. */
export async function findCards(xenstore: XenStoreClient): Promise<number[]> {
  try {
    const names = await xenstore.directory(`device/${DEVICE_CLASS}`);
    return names
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  } catch (error) {
    if (isVsndError(error, 'ERR_VSND_XENSTORE') && error.errno === 'ENOENT') return [];
    throw error;
  }
}

/** Reads all about one card. Rejects with ERR_VSND_NO_CARD, ERR_VSND_CONFIG or ERR_VSND_XENSTORE. */
export async function readCard(xenstore: XenStoreClient, devid: number): Promise<CardInfo> {
  const domid = (await xenstore.read('domid')).trim();
  const path = `/local/domain/${domid}/device/${DEVICE_CLASS}/${devid}`;
  const backendPath = await xenstore.readIfPresent(`${path}/backend`);
  const backendId = await xenstore.readIfPresent(`${path}/backend-id`);
  if (backendPath === undefined) {
    const cards = await findCards(xenstore);
    const others = cards.length > 0 ? `it has ${cards.join(', ')}` : 'it has none: see vsnd in xl.cfg';
    throw new VsndError('ERR_VSND_NO_CARD', `this guest has no sound card ${devid}; ${others}`, { path });
  }
  const config: CardConfig = await readCardConfig(xenstore, path);
  return {
    ...config,
    devid,
    backendPath,
    backendDomid: requireNumber({ 'backend-id': backendId }, 'backend-id', path, 0, DOMID_MAX),
    state: parseXenbusState(await xenstore.readIfPresent(`${path}/state`)),
    backendState: parseXenbusState(await readOtherend(xenstore, `${backendPath}/state`)),
    backendVersions: await readOtherend(xenstore, `${backendPath}/${Field.backendVersions}`),
  };
}

/** A node of the other end's; undefined where it is not there, or its domain is gone: XenStore then says that we may not read it. */
export async function readOtherend(xenstore: XenStoreClient, path: string): Promise<string | undefined> {
  try {
    return await xenstore.readIfPresent(path);
  } catch (error) {
    if (isVsndError(error, 'ERR_VSND_XENSTORE') && error.errno === 'EACCES') return undefined;
    throw error;
  }
}
