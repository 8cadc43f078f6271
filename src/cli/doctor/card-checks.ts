import { readFile } from 'node:fs/promises';
import { wait } from '../../clock.ts';
import { streamsOf } from '../../config/card.ts';
import { DEVICE_CLASS, Field } from '../../config/fields.ts';
import type { CardInfo } from '../../frontend/discovery.ts';
import { doubtsAbout, findCards, readCard, readOtherend } from '../../frontend/discovery.ts';
import { openCard } from '../../open-card.ts';
import { type StreamLimits, usualBufferBytes } from '../../pcm/hw-params.ts';
import type { ReleaseStack } from '../../release-stack.ts';
import { directoryPageCount } from '../../wire/sndif.ts';
import { type Hypervisor, PAGE_SIZE } from '../../xen/hypervisor.ts';
import {
  describeStateNode,
  describeXenbusState,
  type OtherendState,
  parseXenbusState,
} from '../../xenbus/state.ts';
import { XenStoreClient } from '../../xenstore/client.ts';
import { oneLine } from '../messages.ts';
import { Problem } from './report.ts';
import type { System } from './system.ts';

/** A domain's way to Xen, and its XenStore. */
interface Domain {
  readonly hypervisor: Hypervisor;
  readonly xenstore: XenStoreClient;
}

/** Where a backend rests that works: it passes Closing and Closed when it lets a frontend go. */
const AT_REST: readonly OtherendState[] = ['InitWait', 'Connected'];
/** How often to look at one that does not rest, and ns from one look to the next. */
const LOOKS = 11;
const LOOK_INTERVAL = 0.1e9;

/** A stream's request ring and its event page. */
const RING_PAGES = 2;
/** What a connection writes for each stream. */
const TRANSPORT_FIELDS = [Field.ringRef, Field.eventChannel, Field.evtRingRef, Field.evtEventChannel];

export async function openDomain(openHypervisor: System['openHypervisor'], releases: ReleaseStack) {
  const { hypervisor, release } = await openHypervisor();
  releases.push(release);
  releases.push(async () => void (await Promise.all(hypervisor.leaving.values())));
  const xenstore = await XenStoreClient.open(hypervisor);
  releases.push(() => xenstore.close());
  const domid = (await xenstore.read('domid')).trim();
  return { message: `answers; this is domain ${domid}`, hypervisor, xenstore };
}

/** Which card, and that XenStore knows of it. */
export async function findCard({ xenstore }: Domain, wanted: number | undefined) {
  const devids = await findCards(xenstore);
  const devid = wanted ?? devids[0];
  if (devid === undefined || !devids.includes(devid)) {
    const which = wanted === undefined ? 'sound card' : `sound card ${wanted}`;
    const others = devids.length > 0 ? `; it has ${devids.join(', ')}` : '';
    throw new Problem(
      `this guest has no ${which}${others}`,
      'give it one by vsnd = [...] in its xl.cfg, see vsnd help guest-setup.md',
    );
  }
  const all = devids.length > 1 ? `, of ${devids.join(', ')}` : '';
  return { message: `card ${devid}${all}`, devid };
}

export async function checkOwner({ hypervisor, xenstore }: Domain, devid: number) {
  const claim = await hypervisor.claim(`${DEVICE_CLASS}/${devid}`);
  await claim.release();
  const state = parseXenbusState(await xenstore.readIfPresent(`device/${DEVICE_CLASS}/${devid}/state`));
  if (state !== 'Connected') return { message: 'no process has the card' };
  const reason = `its state is still ${describeXenbusState(state)}`;
  return { message: `no process has the card; the last one did not close it (${reason}), the next one will` };
}

export async function readConfiguration({ xenstore }: Domain, devid: number) {
  const info = await readCard(xenstore, devid);
  const [playback, capture] = (['playback', 'capture'] as const).map(
    (type) => streamsOf(info, { type }).length,
  );
  if (playback === 0) {
    throw new Problem(
      `card ${devid} has no stream that plays`,
      "give it one in the guest's xl.cfg: 'stream, unique-id=..., type=P'",
    );
  }
  const names = [info.shortName, info.longName].filter((name) => name !== undefined).map(oneLine);
  const counts = `${playback} playback, ${capture} capture`;
  const warnings = info.warnings.map(({ message }) => message);
  return { message: [...names, `streams: ${counts}`].join(', '), warnings, info };
}

/** Writes what a connection would write, and takes all of it back: an aborted transaction changes nothing. */
export async function checkQuota({ xenstore }: Domain, info: CardInfo) {
  const nodes = streamsOf(info).flatMap(({ config: { path } }) =>
    TRANSPORT_FIELDS.map((field) => `${path}/${field}`),
  );
  const takeBack = new Error('only tried');
  try {
    await xenstore.transaction(async (transaction) => {
      for (const node of nodes) await transaction.write(node, '0');
      throw takeBack;
    });
  } catch (error) {
    if (error !== takeBack) throw error;
  }
  const watch = await xenstore.watch(`${info.path}/state`, () => {});
  await watch.close();
  return { message: `${nodes.length} nodes of a connection and a watch are within it` };
}

/** `sys`: where sysfs is mounted. How many pages are in use cannot be read. */
export async function checkPages(sys: string, info: CardInfo) {
  const file = `${sys}/module/xen_gntalloc/parameters/limit`;
  const limit = Number(await readFile(file, 'utf8'));
  const pagesFor = (bytesOf: (limits: StreamLimits) => number) =>
    streamsOf(info).reduce((sum, { config }) => sum + pagesOf(bytesOf(config)), 0);
  const most = pagesFor(({ bufferBytes }) => bufferBytes);
  const needed = limit >= most ? most : pagesFor(usualBufferBytes);
  const longest = needed < most ? `, ${most} with the longest buffers that it can have` : '';
  const both = `the card takes up to ${needed} pages${longest}; gntalloc gives ${limit} to all processes together`;
  if (limit >= needed) return { message: both };
  throw new Problem(both, `echo ${2 * needed} > ${file}, as root; at least ${needed}, and what others use`);
}

export async function checkBackend(domain: Domain, card: CardInfo) {
  const info = await readAtRest(domain, card);
  const { path, backendPath, backendDomid, backendState, state } = info;
  if (!AT_REST.includes(backendState)) {
    const node = await readOtherend(domain.xenstore, `${backendPath}/state`);
    const found =
      node === undefined
        ? `there is no ${backendPath}/state, which is where ${path}/backend says`
        : `${backendPath}/state is ${describeStateNode(node)}`;
    throw new Problem(
      [`no backend is ready: ${found}`, ...doubtsAbout(info)].join('; '),
      `run vsnd backend in domain ${backendDomid}, see vsnd help backend.md; where it runs, its log says more`,
    );
  }
  const [theirs, ours] = [backendState, state].map(describeXenbusState);
  return { message: `in domain ${backendDomid}, in state ${theirs}; the state of this end is ${ours}` };
}

/** The proof: connects, and leaves again. */
export async function connect({ hypervisor }: Domain, devid: number, signal: AbortSignal) {
  const { clock } = hypervisor;
  const started = clock.now();
  const card = await openCard({ hypervisor, card: devid, signal });
  const duration = Math.round((clock.now() - started) / 1e6);
  await card.close();
  return { message: `the backend connected after ${duration} ms` };
}

/** The card when its backend has come to rest, or after a second. */
async function readAtRest({ hypervisor, xenstore }: Domain, { devid }: CardInfo): Promise<CardInfo> {
  for (let look = 1; ; look++) {
    const info = await readCard(xenstore, devid);
    if (AT_REST.includes(info.backendState) || look === LOOKS) return info;
    await wait(hypervisor.clock, LOOK_INTERVAL);
  }
}

/** Pages of a stream whose buffer is as large as it may be. */
function pagesOf(bufferBytes: number): number {
  const bufferPages = Math.ceil(bufferBytes / PAGE_SIZE);
  return RING_PAGES + bufferPages + directoryPageCount(bufferPages);
}
