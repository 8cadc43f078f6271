import { EVENT_RING_SIZE, EVENT_SIZE } from '../../src/wire/event-page.ts';
import { RING_ENTRY_SIZE, RING_SIZE } from '../../src/wire/ring.ts';
import { encodeCurPos, encodeRequest, type SndifRequest } from '../../src/wire/sndif.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import type { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import type { Pages } from '../../src/xen/hypervisor.ts';

const REQ_PROD = 0;
const RSP_PROD = 8;
const IN_CONS = 0;
const IN_PROD = 4;
const ENTRIES = 64;

/** What hostile peers have done so far. */
export interface Deeds {
  /** How often a slot was filled again. */
  refills: number;
}

/**
 * The other processors of guest `domid`: whenever the backend in `dom0` publishes a response they put `request` in its place,
 * so that the ring is full again, until `most` have been put there. From the next connection on, for all of its rings.
 */
export function keepRingsFull(
  dom0: EmulatedDomain,
  domid: number,
  most: number,
  request: SndifRequest = { op: 'trigger', trigger: 'stop' },
): Deeds {
  const deeds = { refills: 0 };
  const entry = encodeRequest(7, request);
  const { map } = dom0.mapper;
  dom0.mapper.map = async (...args) => {
    const pages = await map(...args);
    if (args[0] !== domid) return pages;
    const put = (index: number) => pages.copyIn(ENTRIES + (index % RING_SIZE) * RING_ENTRY_SIZE, entry);
    let isRing = false;
    const store32 = pages.store32.bind(pages);
    pages.store32 = (offset, value) => {
      store32(offset, value);
      if (offset !== RSP_PROD || deeds.refills >= most) return;
      deeds.refills += 1;
      for (let slot = isRing ? RING_SIZE : 1; slot <= RING_SIZE; slot++) put(value - 1 + slot);
      isRing = true;
      store32(REQ_PROD, (value + RING_SIZE) >>> 0);
    };
    return pages;
  };
  return deeds;
}

/** More of those: between two looks of the backend at REQ_PROD of one of guest `domid`'s rings the index may move, to where `move` says. */
export function moveRequestIndexes(dom0: EmulatedDomain, domid: number, move: (now: number) => number): void {
  const { map } = dom0.mapper;
  dom0.mapper.map = async (...args) => {
    const pages = await map(...args);
    if (args[0] !== domid) return pages;
    const load32 = pages.load32.bind(pages);
    pages.load32 = (offset) => {
      const value = load32(offset);
      if (offset === REQ_PROD) pages.store32(REQ_PROD, move(value) >>> 0);
      return value;
    };
    return pages;
  };
}

/** How a hostile backend treats an event page of a guest's. */
export interface EventPageKeeper extends Deeds {
  /** How often the guest has looked at a slot. */
  looks: number;
  /** How often it has looked whether there is an event. */
  peeks: number;
  /** Fills the page of that grant reference, and again whenever the guest has taken an event, `most` times. Once a page. */
  keepFull(gref: number, most: number): void;
}

/** Other processors of the backend of `guest`'s cards. */
export function keepEventPages(guest: EmulatedDomain): EventPageKeeper {
  const granted = new Map<number, Pages>();
  const full = new Set<Pages>();
  const { grant } = guest.grants;
  guest.grants.grant = async (...args) => {
    const pages = await grant(...args);
    for (const gref of pages.grefs) granted.set(gref, pages);
    const load32 = pages.load32.bind(pages);
    pages.load32 = (offset) => {
      if (offset === IN_PROD) keeper.peeks += 1;
      return load32(offset);
    };
    const copyOut = pages.copyOut.bind(pages);
    pages.copyOut = (offset, target) => {
      if (target.length === EVENT_SIZE) keeper.looks += 1;
      copyOut(offset, target);
    };
    return pages;
  };
  const keeper: EventPageKeeper = {
    refills: 0,
    looks: 0,
    peeks: 0,
    keepFull(gref, most) {
      const pages = granted.get(gref);
      if (pages === undefined || full.has(pages)) return;
      full.add(pages);
      const store32 = pages.store32.bind(pages);
      const first = pages.load32(IN_CONS);
      const put = (distance: number) => {
        const index = (first + distance) >>> 0;
        const event = encodeCurPos({ id: index & 0xffff, position: 0n });
        pages.copyIn(ENTRIES + (index % EVENT_RING_SIZE) * EVENT_SIZE, event);
        store32(IN_PROD, (index + 1) >>> 0);
      };
      pages.store32 = (offset, value) => {
        store32(offset, value);
        if (offset !== IN_CONS || keeper.refills >= most) return;
        keeper.refills += 1;
        put(value - first + EVENT_RING_SIZE - 1);
      };
      for (let index = 0; index < EVENT_RING_SIZE; index++) put(index);
    },
  };
  return keeper;
}

/** The reference of the event page of the first stream of a guest's card 0, as it has published it; 0 while it has not. */
export function eventPageOf(machine: EmulatedMachine, domid: number): number {
  const path = `/local/domain/${domid}/device/vsnd/0/0/0/evt-ring-ref`;
  return machine.store.run((view) =>
    view.has(path) ? Number(Buffer.from(view.read(path).value).toString()) : 0,
  );
}
