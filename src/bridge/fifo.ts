import { unlink } from 'node:fs/promises';
import { type Addon, loadAddon } from '../xen/linux/addon.ts';

/** What native/ offers for FIFOs. Operations throw an Error with `code`, an errno's name. */
export interface FifoTools {
  /** Opens one end; EINVAL for what is no FIFO, and ENXIO where nobody has the end that reads. */
  readonly Fifo: new (
    path: string,
    writing: boolean,
  ) => Fifo;
  /** mkfifo(3), for this user alone. */
  makeFifo(path: string): void;
}

/** One end of a FIFO, which never blocks, and does not hold the process. */
export interface Fifo {
  /**
   * Calls `onReady` again and again while read() has something to give, or write() takes something; an error ends the
   * calls until the next start.
   */
  start(onReady: () => void): void;
  /** Until the next start nothing is called, and nothing is polled. Idempotent. */
  stop(): void;
  /** One read(2): bytes read; undefined where there is nothing, 0 where nobody has the end that writes. */
  read(into: Uint8Array): number | undefined;
  /** One write(2): how many bytes went in. Throws EPIPE where nobody has the end that reads. */
  write(bytes: Uint8Array): number;
  /** FIONREAD: bytes in the pipe. */
  waiting(): number;
  /** F_SETPIPE_SZ: room for at least `bytes`; says how much there is now. EBUSY where more than that is in it. */
  setSize(bytes: number): number;
  /** Idempotent; everything but stop() throws EBADF from then on. */
  close(): void;
}

/** Throws as loadAddon() does. */
export function loadFifoTools(): FifoTools {
  return loadAddon() as Addon & FifoTools;
}

/** Also where it has gone already. Never rejects. */
export async function removeFifo(path: string): Promise<void> {
  await unlink(path).catch(() => {});
}
