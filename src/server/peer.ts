import type { Socket } from 'node:net';
import { ownUid } from '../control/own-directory.ts';
import { type Addon, loadAddon } from '../xen/linux/addon.ts';

/** Who connected a UNIX socket, at that moment. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
}

/** What native/ offers for sockets. */
interface PeerTools {
  /** SO_PEERCRED. Throws an Error with `code`, an errno's name. */
  peerCredentials(fd: number): Peer;
}

/** Tells who is at the other end of a socket; undefined where nobody knows: without the addon it is left to the socket's mode. */
export function peerTeller(): (socket: Socket) => Peer | undefined {
  const { peerCredentials } = loadTools();
  return (socket) => {
    const { fd = -1 } = (socket as { _handle?: { fd?: number } })._handle ?? {};
    return fd < 0 ? undefined : peerCredentials?.(fd);
  };
}

/** Whether somebody is this process's user, or root. */
export function isOwn({ uid }: Peer): boolean {
  return uid === ownUid() || uid === 0;
}

function loadTools(): Partial<PeerTools> {
  try {
    return loadAddon() as Addon & Partial<PeerTools>;
  } catch {
    return {};
  }
}
