import { protocolError, VsndError } from '../errors.ts';

/** Message types: enum xsd_sockmsg_type in xs_wire.h. */
export const XsType = {
  control: 0, // XS_CONTROL
  directory: 1, // XS_DIRECTORY
  read: 2, // XS_READ
  getPerms: 3, // XS_GET_PERMS
  watch: 4, // XS_WATCH
  unwatch: 5, // XS_UNWATCH
  transactionStart: 6, // XS_TRANSACTION_START
  transactionEnd: 7, // XS_TRANSACTION_END
  introduce: 8, // XS_INTRODUCE
  release: 9, // XS_RELEASE
  getDomainPath: 10, // XS_GET_DOMAIN_PATH
  write: 11, // XS_WRITE
  mkdir: 12, // XS_MKDIR
  rm: 13, // XS_RM
  setPerms: 14, // XS_SET_PERMS
  watchEvent: 15, // XS_WATCH_EVENT
  error: 16, // XS_ERROR
  isDomainIntroduced: 17, // XS_IS_DOMAIN_INTRODUCED
  resume: 18, // XS_RESUME
  setTarget: 19, // XS_SET_TARGET
  resetWatches: 21, // XS_RESET_WATCHES
  directoryPart: 22, // XS_DIRECTORY_PART
} as const;

/** XENSTORE_PAYLOAD_MAX, bytes. */
export const XS_PAYLOAD_MAX = 4096;
/** XENSTORE_ABS_PATH_MAX, bytes without the NUL. */
export const XS_ABS_PATH_MAX = 3072;
/** XENSTORE_REL_PATH_MAX, bytes without the NUL. */
export const XS_REL_PATH_MAX = 2048;
/** sizeof(struct xsd_sockmsg), bytes. */
export const XS_HEADER_SIZE = 16;

/** One message of either direction: struct xsd_sockmsg and what follows it. */
export interface XsMessage {
  readonly type: number;
  /** u32, echoed in the answer. */
  readonly requestId: number;
  /** u32, 0 outside transactions. */
  readonly transactionId: number;
  readonly payload: Uint8Array;
}

/** Encodes one message. Throws ERR_VSND_INVALID_ARG for a payload of more than XS_PAYLOAD_MAX bytes. */
export function encodeXsMessage(message: XsMessage): Uint8Array {
  const { payload } = message;
  if (payload.length > XS_PAYLOAD_MAX) {
    throw new VsndError(
      'ERR_VSND_INVALID_ARG',
      `a XenStore message of ${payload.length} bytes; allowed: at most ${XS_PAYLOAD_MAX} (path and value together)`,
      { errno: 'E2BIG' },
    );
  }
  const bytes = new Uint8Array(XS_HEADER_SIZE + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, message.type, true);
  view.setUint32(4, message.requestId, true);
  view.setUint32(8, message.transactionId, true);
  view.setUint32(12, payload.length, true);
  bytes.set(payload, XS_HEADER_SIZE);
  return bytes;
}

/** Takes a stream of bytes apart into messages, wherever its chunks begin and end. */
export class XsMessageDecoder {
  #held = new Uint8Array(0);

  /** Bytes of a message whose end has not arrived. */
  get heldBytes(): number {
    return this.#held.length;
  }

  /** The messages that `chunk` completes. Throws ERR_VSND_PROTOCOL for an announced payload beyond the limit; the stream is then lost. */
  push(chunk: Uint8Array): XsMessage[] {
    const bytes = this.#held.length === 0 ? chunk : concat(this.#held, chunk);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const messages: XsMessage[] = [];
    let start = 0;
    while (bytes.length - start >= XS_HEADER_SIZE) {
      const length = view.getUint32(start + 12, true);
      if (length > XS_PAYLOAD_MAX) {
        throw protocolError(
          `a XenStore message announces ${length} bytes; allowed: at most ${XS_PAYLOAD_MAX}`,
        );
      }
      const end = start + XS_HEADER_SIZE + length;
      if (bytes.length < end) break;
      messages.push({
        type: view.getUint32(start, true),
        requestId: view.getUint32(start + 4, true),
        transactionId: view.getUint32(start + 8, true),
        payload: bytes.slice(start + XS_HEADER_SIZE, end),
      });
      start = end;
    }
    this.#held = bytes.slice(start);
    return messages;
  }
}

/** Each string followed by a NUL: the payload of every request but WRITE, whose value has none. */
export function encodeXsStrings(...strings: string[]): Uint8Array {
  return Buffer.from(strings.map((string) => `${string}\0`).join(''));
}

/** The payload of WRITE: the path, a NUL, and the value as it is. */
export function encodeXsWrite(path: string, value: string | Uint8Array): Uint8Array {
  return concat(encodeXsStrings(path), typeof value === 'string' ? Buffer.from(value) : value);
}

/** Splits a payload of NUL-terminated strings; a last one without its NUL counts as well. */
export function decodeXsStrings(payload: Uint8Array): string[] {
  const strings = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString().split('\0');
  if (strings.at(-1) === '') strings.pop();
  return strings;
}

/** Splits the payload of WRITE. Throws ERR_VSND_PROTOCOL where the path has no NUL. */
export function decodeXsWrite(payload: Uint8Array): { path: string; value: Uint8Array } {
  const nul = payload.indexOf(0);
  if (nul === -1) throw protocolError('a XenStore WRITE whose path has no NUL');
  return { path: Buffer.from(payload.subarray(0, nul)).toString(), value: payload.slice(nul + 1) };
}

/** One entry of a node's permissions: 'n' none, 'r' read, 'w' write, 'b' both. The first entry names the owner and what all others may. */
export interface XsPermission {
  readonly access: 'n' | 'r' | 'w' | 'b';
  readonly domid: number;
}

/** The string form of a permission: 'r7'. */
export function encodeXsPermission({ access, domid }: XsPermission): string {
  return `${access}${domid}`;
}

/** The inverse of {@link encodeXsPermission}. Throws ERR_VSND_PROTOCOL. */
export function decodeXsPermission(text: string): XsPermission {
  const match = /^([nrwb])(\d{1,5})$/.exec(text);
  const domid = Number(match?.[2]);
  if (match === null || domid > 0xffff) {
    throw protocolError(
      `a XenStore permission ${JSON.stringify(text.slice(0, 40))}; allowed: n, r, w or b and a domid`,
    );
  }
  return { access: match[1] as XsPermission['access'], domid };
}

/** True for what XenStore takes as a path: absolute, or relative to the domain's home, in its alphabet and within its length. */
export function isXsPath(path: string): boolean {
  if (path === '/') return true;
  const limit = path.startsWith('/') ? XS_ABS_PATH_MAX : XS_REL_PATH_MAX;
  return path.length <= limit && /^\/?[-\w@]+(\/[-\w@]+)*$/.test(path);
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(head.length + tail.length);
  bytes.set(head);
  bytes.set(tail, head.length);
  return bytes;
}
