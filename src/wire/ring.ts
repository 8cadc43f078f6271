import { protocolError, VsndError } from '../errors.ts';
import type { SharedMemory } from './memory.ts';

/** Bytes of one request or response: sizeof(struct xensnd_req). */
export const RING_ENTRY_SIZE = 64;
/** Entries of a one-page ring: __CONST_RING_SIZE(xen_sndif, 4096), the 63 that fit rounded down to a power of two. */
export const RING_SIZE = 32;

/** Offsets of struct xen_sndif_sring, bytes. */
const REQ_PROD = 0;
const REQ_EVENT = 4;
const RSP_PROD = 8;
const RSP_EVENT = 12;
const ENTRIES = 64;

/** An entry of no known operation. Zeros would be an OPEN. */
const MEANINGLESS = new Uint8Array(RING_ENTRY_SIZE).fill(0xff);

const slot = (index: number): number => ENTRIES + (index % RING_SIZE) * RING_ENTRY_SIZE;

/**
 * True where the peer's event index lies in (old, next]: it asked to be told of one of the entries just published. Indexes
 * run freely through all u32 values: only their differences mean anything.
 */
const shouldNotify = (event: number, old: number, next: number): boolean =>
  (next - event) >>> 0 < (next - old) >>> 0;

/** The frontend's role: produces requests, consumes responses (ring.h, FRONT_RING). */
export class FrontRing {
  readonly #memory: SharedMemory;
  #reqProd: number;
  #published: number;
  #rspCons: number;

  /** Initialises the shared page (SHARED_RING_INIT). `start`: the first index, a u32. */
  constructor(memory: SharedMemory, start = 0) {
    this.#memory = memory;
    this.#reqProd = this.#published = this.#rspCons = start >>> 0;
    memory.store32(REQ_PROD, this.#reqProd);
    memory.store32(RSP_PROD, this.#rspCons);
    memory.store32(REQ_EVENT, (start + 1) >>> 0);
    memory.store32(RSP_EVENT, (start + 1) >>> 0);
  }

  /** Between publications: where it stands. */
  get standing(): { readonly reqProd: number; readonly rspCons: number } {
    return { reqProd: this.#reqProd, rspCons: this.#rspCons };
  }

  /** Goes on from where another has left the page. */
  continue({ reqProd, rspCons }: { readonly reqProd: number; readonly rspCons: number }): void {
    this.#reqProd = this.#published = reqProd;
    this.#rspCons = rspCons;
  }

  /** Requests that fit now. A slot is free again once its response has been taken. */
  get free(): number {
    return RING_SIZE - ((this.#reqProd - this.#rspCons) >>> 0);
  }

  /** Writes one request behind the last one; {@link publish} shows it to the peer. Throws ERR_VSND_INVALID_STATE on a full ring. */
  put(request: Uint8Array): void {
    if (this.free === 0) throw new VsndError('ERR_VSND_INVALID_STATE', 'the request ring is full');
    this.#memory.copyIn(slot(this.#reqProd), request);
    this.#reqProd = (this.#reqProd + 1) >>> 0;
  }

  /** Shows the peer all requests put so far; says whether it must be notified (RING_PUSH_REQUESTS_AND_CHECK_NOTIFY). */
  publish(): boolean {
    const old = this.#published;
    this.#published = this.#reqProd;
    this.#memory.store32(REQ_PROD, this.#reqProd); // orders: entries before the index that announces them
    const event = this.#memory.load32(REQ_EVENT); // orders: our index before reading what the peer waits for
    return shouldNotify(event, old, this.#reqProd);
  }

  /** Copies the next response to `target`; false where there is none. Throws ERR_VSND_PROTOCOL for more responses than requests. */
  take(target: Uint8Array): boolean {
    const rspProd = this.#memory.load32(RSP_PROD); // orders: the index before the entries that it announces
    const waiting = (rspProd - this.#rspCons) >>> 0;
    const outstanding = (this.#published - this.#rspCons) >>> 0;
    if (waiting > outstanding) {
      throw protocolError(`the backend's rsp_prod announces ${waiting} responses to ${outstanding} requests`);
    }
    if (waiting === 0) return false;
    this.#memory.copyOut(slot(this.#rspCons), target);
    this.#rspCons = (this.#rspCons + 1) >>> 0;
    return true;
  }

  /**
   * Leaves nothing that asks for anything: a backend that binds the page anew, and counts from 0, finds no request; one
   * that still counts on finds entries without a meaning. The ring cannot be used after this.
   */
  reset(): void {
    for (let index = 0; index < RING_SIZE; index++) this.#memory.copyIn(slot(index), MEANINGLESS);
    this.#memory.store32(RSP_PROD, 0);
    this.#memory.store32(REQ_PROD, 0); // orders: the entries are gone before the index could announce them again
    this.#memory.store32(REQ_EVENT, 1);
    this.#memory.store32(RSP_EVENT, 1);
  }

  /** Asks to be notified of the next response; true where one has come meanwhile (RING_FINAL_CHECK_FOR_RESPONSES). */
  rearm(): boolean {
    if (this.#memory.load32(RSP_PROD) !== this.#rspCons) return true;
    this.#memory.store32(RSP_EVENT, (this.#rspCons + 1) >>> 0);
    return this.#memory.load32(RSP_PROD) !== this.#rspCons; // orders: our wish before the last look
  }
}

/** The backend's role: consumes requests, produces responses (ring.h, BACK_RING). */
export class BackRing {
  readonly #memory: SharedMemory;
  #reqCons: number;
  #rspProd: number;
  #published: number;

  /** Takes the page as the frontend initialised it. `start`: the first index, a u32. */
  constructor(memory: SharedMemory, start = 0) {
    this.#memory = memory;
    this.#reqCons = this.#rspProd = this.#published = start >>> 0;
  }

  /** Requests that can be taken, as the peer has announced them up to now. Throws as {@link take}. */
  get announced(): number {
    const reqProd = this.#memory.load32(REQ_PROD); // orders: the index before the entries that it announces
    const unanswered = (reqProd - this.#rspProd) >>> 0;
    if (unanswered > RING_SIZE) {
      throw protocolError(
        `the frontend's req_prod announces ${unanswered} requests in a ring of ${RING_SIZE}`,
      );
    }
    const announced = (reqProd - this.#reqCons) >>> 0;
    if (announced > RING_SIZE) {
      throw protocolError(
        `the frontend's req_prod ${reqProd} fell behind the ${this.#reqCons} requests taken`,
      );
    }
    return announced;
  }

  /** Copies the next request to `target`; false where there is none. Throws ERR_VSND_PROTOCOL where the ring overflowed. */
  take(target: Uint8Array): boolean {
    if (this.announced === 0) return false;
    this.#memory.copyOut(slot(this.#reqCons), target);
    this.#reqCons = (this.#reqCons + 1) >>> 0;
    return true;
  }

  /** Writes one response over the oldest request taken. Throws ERR_VSND_INVALID_STATE where none is waiting for one. */
  put(response: Uint8Array): void {
    if (this.#rspProd === this.#reqCons) {
      throw new VsndError('ERR_VSND_INVALID_STATE', 'a response without a request');
    }
    this.#memory.copyIn(slot(this.#rspProd), response);
    this.#rspProd = (this.#rspProd + 1) >>> 0;
  }

  /** Shows the peer all responses put so far; says whether it must be notified (RING_PUSH_RESPONSES_AND_CHECK_NOTIFY). */
  publish(): boolean {
    const old = this.#published;
    this.#published = this.#rspProd;
    this.#memory.store32(RSP_PROD, this.#rspProd); // orders: entries before the index that announces them
    const event = this.#memory.load32(RSP_EVENT); // orders: our index before reading what the peer waits for
    return shouldNotify(event, old, this.#rspProd);
  }

  /** Asks to be notified of the next request; true where one has come meanwhile (RING_FINAL_CHECK_FOR_REQUESTS). */
  rearm(): boolean {
    if (this.#memory.load32(REQ_PROD) !== this.#reqCons) return true;
    this.#memory.store32(REQ_EVENT, (this.#reqCons + 1) >>> 0);
    return this.#memory.load32(REQ_PROD) !== this.#reqCons; // orders: our wish before the last look
  }
}
