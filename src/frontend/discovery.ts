import { type CardConfig, type PcmDeviceConfig, streamsOf } from '../config/card.ts';
import { configError, DEVICE_CLASS, Field, requireNumber } from '../config/fields.ts';
import { readCardConfig } from '../config/read-card.ts';
import type { ConfigWarning } from '../config/warnings.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { type OtherendState, parseXenbusState } from '../xenbus/state.ts';
import type { XenStoreClient } from '../xenstore/client.ts';

const DOMID_MAX = 0x7fff;

/** A node below some domain's home, by XenStore's rules for names. */
const BACKEND_PATH = /^\/local\/domain\/(\d{1,5})(?:\/[\w@-]+)+$/;

/** So many reasons are told why a backend may not have connected. */
const MOST_DOUBTS = 3;

/** A virtual sound card, as XenStore describes it. */
export interface CardInfo {
  /** The device's number in this guest. */
  readonly devid: number;
  /** The card's own node, absolute. */
  readonly path: string;
  /** The domain of the card's backend. */
  readonly backendDomid: number;
  /** The backend's node, absolute. */
  readonly backendPath: string;
  /** The xenbus state of this end. */
  readonly state: OtherendState;
  /** That of the backend. */
  readonly backendState: OtherendState;
  /** The protocol's versions that the backend lists, as '1,2'; most list none. */
  readonly backendVersions: string | undefined;
  /** What xl.cfg calls the card; undefined where it does not. */
  readonly shortName: string | undefined;
  /** The same for people. */
  readonly longName: string | undefined;
  /** In the order of their indexes. */
  readonly pcmDevices: readonly PcmDeviceConfig[];
  /** What in the configuration cannot be meant so, and what is made of it. */
  readonly warnings: readonly ConfigWarning[];
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
  const cards = await findCards(xenstore);
  if (!cards.includes(devid)) {
    const others = cards.length > 0 ? `it has ${cards.join(', ')}` : 'it has none: see vsnd in xl.cfg';
    throw new VsndError('ERR_VSND_NO_CARD', `this guest has no sound card ${devid}; ${others}`, { path });
  }
  const backendPath = await readBackendPath(xenstore, path);
  const backendId = await xenstore.readIfPresent(`${path}/backend-id`);
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

/** Where the toolstack says that the card's backend is. Rejects with ERR_VSND_CONFIG where that is no such place. */
async function readBackendPath(xenstore: XenStoreClient, path: string): Promise<string> {
  const value = await xenstore.readIfPresent(`${path}/backend`);
  if (value !== undefined && BACKEND_PATH.test(value)) return value;
  const example = `/local/domain/0/backend/${DEVICE_CLASS}/1/0`;
  throw configError(`${path}/backend`, value, `the node of the backend's end, as in ${example}`);
}

/**
 * What in a card's configuration may keep a backend from connecting, the first few: backends are stricter than we are,
 * and give their reasons to a log of their own domain.
 */
export function doubtsAbout({ path, pcmDevices, warnings, backendPath, backendDomid }: CardInfo): string[] {
  const nameless = streamsOf({ pcmDevices }).filter(({ config }) => config.uniqueId === '');
  return [
    ...(BACKEND_PATH.exec(backendPath)?.[1] === String(backendDomid)
      ? []
      : [`${path}/backend-id is ${backendDomid}, but ${path}/backend is in another domain: ${backendPath}`]),
    ...nameless.map(
      ({ config }) => `${config.path}/${Field.uniqueId} is missing, which many a backend needs`,
    ),
    ...warnings.map(({ message }) => message),
  ].slice(0, MOST_DOUBTS);
}

/** The same error, with {@link doubtsAbout} the card, where it is that of a backend that did not connect. */
export function withDoubts(error: unknown, info: CardInfo): unknown {
  const doubts = doubtsAbout(info);
  if (!isVsndError(error, 'ERR_VSND_BACKEND_GONE') || doubts.length === 0) return error;
  const { code, errno = '', path = info.path, message } = error;
  return new VsndError(code, [message, ...doubts].join('; '), {
    path,
    ...(errno && { errno }),
    cause: error,
  });
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
