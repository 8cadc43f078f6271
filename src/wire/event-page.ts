import { protocolError } from '../errors.ts';
import type { SharedMemory } from './memory.ts';

/** Bytes of one event: sizeof(struct xensnd_evt). */
export const EVENT_SIZE = 64;
/** Slots of the page: XENSND_IN_RING_LEN. */
export const EVENT_RING_SIZE = 63;

/** Offsets of struct xensnd_event_page and of a slot's type, bytes. */
const IN_CONS = 0;
const IN_PROD = 4;
const EVENTS = 64;
const TYPE = 2;

/** Events after which an entry that was skipped has landed at last: half of those after which its slot is used again. */
const LANDED_AFTER = EVENT_RING_SIZE >> 1;

/** No event has this type: it marks a slot whose entry has not landed yet. */
const NOT_LANDED = 0xff;

/** XENSND_IN_RING_REF, in u32 by both roles alike. */
const slot = (index: number): number => EVENTS + (index % EVENT_RING_SIZE) * EVENT_SIZE;

/** 63 does not divide 2^32: the first four indexes behind the wrap have the slots of the four before it. */
const SHARED_AT_WRAP = 2 ** 32 % EVENT_RING_SIZE;

/** Events that may wait when `index` is written: with one more, its slot would still hold an unread one. */
const capacity = (index: number): number => (index < SHARED_AT_WRAP ? SHARED_AT_WRAP : EVENT_RING_SIZE);

/** The backend's role. */
export class EventProducer {
  readonly #memory: SharedMemory;
  #inProd: number;

  /** Continues at the page's in_prod, wherever the frontend left it. */
  constructor(memory: SharedMemory) {
    this.#memory = memory;
    this.#inProd = memory.load32(IN_PROD);
  }

  /**
   * Writes and publishes one event; false where the ring is full and the event is dropped.
   * Throws ERR_VSND_PROTOCOL where in_cons lies outside of what was produced.
   */
  put(event: Uint8Array): boolean {
    const waiting = (this.#inProd - this.#memory.load32(IN_CONS)) >>> 0;
    if (waiting > EVENT_RING_SIZE) {
      throw protocolError(`the frontend's in_cons leaves ${waiting} events in a ring of ${EVENT_RING_SIZE}`);
    }
    if (waiting >= capacity(this.#inProd)) return false;
    this.#memory.copyIn(slot(this.#inProd), event);
    this.#inProd = (this.#inProd + 1) >>> 0;
    this.#memory.store32(IN_PROD, this.#inProd); // orders: the event before the index that announces it
    return true;
  }
}

/** What {@link EventConsumer.take} found. */
export type EventTaken = 'event' | 'none' | 'not-landed';

/** The frontend's role. */
export class EventConsumer {
  readonly #memory: SharedMemory;
  #inCons: number;
  /** Indexes of entries that were skipped and may still land, the oldest first. */
  readonly #skipped: number[] = [];

  /** Initialises the page, before it is granted. `start`: the first index, a u32. */
  constructor(memory: SharedMemory, start = 0) {
    this.#memory = memory;
    this.#inCons = start >>> 0;
    for (let index = 0; index < EVENT_RING_SIZE; index++) this.#markEmpty(slot(index));
    memory.store32(IN_CONS, this.#inCons);
    memory.store32(IN_PROD, this.#inCons);
  }

  /** Where it stands; undefined while an entry that was skipped may still land. */
  get standing(): number | undefined {
    return this.#skipped.length === 0 ? this.#inCons : undefined;
  }

  /** Goes on from where another has left the page. */
  continue(inCons: number): void {
    this.#inCons = inCons;
  }

  /** Events that can be taken, as the peer has announced them up to now. Throws as {@link take}. */
  get announced(): number {
    const inProd = this.#memory.load32(IN_PROD); // orders: the index before the entries that it announces
    const waiting = (inProd - this.#inCons) >>> 0;
    if (waiting > EVENT_RING_SIZE) {
      throw protocolError(
        `the backend's in_prod announces ${waiting} events in a ring of ${EVENT_RING_SIZE}`,
      );
    }
    return waiting;
  }

  /**
   * Copies the next event to `target`. 'not-landed': the reference backend orders its entry and its index by no
   * barrier, so on Arm the index may be seen first: look again. Throws ERR_VSND_PROTOCOL for an impossible in_prod.
   */
  take(target: Uint8Array): EventTaken {
    const { announced } = this;
    if (announced === 0) return 'none';
    this.#memory.copyOut(slot(this.#inCons), target);
    if (target[TYPE] === NOT_LANDED) return 'not-landed';
    this.#forgetLanded((this.#inCons + announced) >>> 0);
    this.#advance();
    return 'event';
  }

  /** Gives the next slot back unread. */
  skip(): void {
    this.#skipped.push(this.#inCons);
    if (this.#skipped.length > LANDED_AFTER) this.#skipped.shift();
    this.#advance();
  }

  /** What lands in a slot that was skipped is no event any more: a lap later it would be taken for the next one. */
  #forgetLanded(inProd: number): void {
    const isOver = (index: number) => (inProd - index) >>> 0 > LANDED_AFTER || inProd < index; // at the wrap: see SHARED_AT_WRAP
    while (this.#skipped[0] !== undefined && isOver(this.#skipped[0])) this.#skipped.shift();
    for (const index of this.#skipped) this.#markEmpty(slot(index));
  }

  #advance(): void {
    this.#markEmpty(slot(this.#inCons));
    this.#inCons = (this.#inCons + 1) >>> 0;
    this.#memory.store32(IN_CONS, this.#inCons); // orders: the mark before the slot is the backend's again
  }

  #markEmpty(offset: number): void {
    this.#memory.copyIn(offset + TYPE, Uint8Array.of(NOT_LANDED));
  }
}
