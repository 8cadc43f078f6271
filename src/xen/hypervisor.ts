import type { Clock } from '../clock.ts';
import type { SharedMemory } from '../wire/memory.ts';
import type { StreamEngine } from './stream-engine.ts';

/** XEN_PAGE_SIZE, in bytes, on every architecture. */
export const PAGE_SIZE = 4096;

/** One or more whole pages that follow each other in this domain's address space. Every method throws after release. */
export interface Pages extends SharedMemory {
  /** Idempotent. */
  release(): Promise<void>;
}

/** Pages of this domain that another one may map; zeroed. */
export interface GrantedPages extends Pages {
  /** One grant reference a page, in the order of the pages. */
  readonly grefs: readonly number[];
}

export type GrantAccess = 'read-write' | 'read-only';

/** Gives other domains access to pages (gntalloc). */
export interface GrantAllocator {
  /** Rejects with ERR_VSND_HYPERVISOR where the domain's limit is reached. */
  grant(domid: number, pageCount: number, access?: GrantAccess): Promise<GrantedPages>;
}

/** Maps pages that other domains granted (gntdev). */
export interface GrantMapper {
  /** Rejects with ERR_VSND_HYPERVISOR for a reference that was not granted to this domain, or not for this access. */
  map(domid: number, grefs: readonly number[], access?: GrantAccess): Promise<Pages>;
}

/** This domain's end of an event channel. */
export interface EventPort {
  readonly port: number;
  /** Sets the peer's pending bit. A dead peer takes it without a word. */
  notify(): void;
  /**
   * Sets the one handler, called once for any number of notifications since its last call. The port is masked while it
   * runs: what comes then leads to another call. Without a handler a port stays masked from its first notification on.
   */
  onNotify(handler: () => void): void;
  /**
   * To be called by the handler where the notification has led to nothing: after some in a row the port stays masked for 1 ms,
   * and ever longer, up to 256 ms, until one leads to something. What comes meanwhile leads to one call after that.
   */
  idle(): void;
  /** Idempotent. The handler is not called any more. */
  unbind(): Promise<void>;
}

/** Binds event channels (evtchn). */
export interface EventChannels {
  /** A new port that `remoteDomid` may bind (EVTCHNOP_alloc_unbound). */
  bindUnbound(remoteDomid: number): Promise<EventPort>;
  /** The other end of `remotePort` (EVTCHNOP_bind_interdomain). */
  bindInterdomain(remoteDomid: number, remotePort: number): Promise<EventPort>;
  /**
   * Finds out whether this domain has been restored (xl restore, migration) since its ports were bound: they are dead then, without
   * a sign, and to give one back in the usual way may be fatal to the process (Linux: BUG in evtchn.c). All of them are forgotten in
   * that case, so that releasing them later does nothing, and new ones can be bound at once; before, binding rejects with EEXIST.
   * Resolves with true then, and with false where no port is bound. To be called before ports are unbound after a connection has
   * ended. Rejects with ERR_VSND_HYPERVISOR where it cannot be found out.
   */
  forgetIfRestored(): Promise<boolean>;
}

/** A connection to XenStore: a stream of bytes in each direction, xs_wire.h messages in both. */
export interface XenStoreTransport {
  /** Sends one whole message. */
  send(message: Uint8Array): void;
  /** Sets the handler for what arrives: messages in parts, or several at once. */
  onData(handler: (chunk: Uint8Array) => void): void;
  /** Sets the handler for a connection that ends from the other side. */
  onClose(handler: (error: Error) => void): void;
  /** Drops the connection's watches and transactions. Idempotent. */
  close(): Promise<void>;
}

/** A device that this process owns in its domain. */
export interface DeviceClaim {
  /** Idempotent. */
  release(): Promise<void>;
}

/** What a domain can ask of its hypervisor, of XenStore and of its own clock. */
export interface Hypervisor {
  /** What this is, in a few words for a person: 'Xen', 'an emulated Xen machine'. */
  readonly description: string;
  /** Gives pages to other domains. */
  readonly grants: GrantAllocator;
  /** Maps pages of other domains. */
  readonly mapper: GrantMapper;
  /** Binds event channels. */
  readonly eventChannels: EventChannels;
  /** The time by which streams are paced and waits end. */
  readonly clock: Clock;
  /** @internal What can carry streams beside JavaScript, by the ports of {@link eventChannels}; undefined where nothing can. */
  readonly engine?: StreamEngine | undefined;
  /** A connection to XenStore. Rejects with ERR_VSND_XENSTORE. */
  openXenStore(): Promise<XenStoreTransport>;
  /** Makes this process the one owner of a device in this domain. Rejects with ERR_VSND_CARD_BUSY and the owner's `pid`. */
  claim(device: string): Promise<DeviceClaim>;
  /** What this process is letting go of, each until it has: who wants to claim it, or to close, waits for that. */
  readonly leaving: Map<string, Promise<void>>;
  /** One more reason for this process to stay while the event loop is otherwise empty. There is none at first. */
  ref(): void;
  /** Takes one of these reasons back. */
  unref(): void;
  /** Closes what the domain still has open. Idempotent. */
  close(): Promise<void>;
}
