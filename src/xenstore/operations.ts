import { invalidArgError, isVsndError, protocolError } from '../errors.ts';
import {
  decodeXsPermission,
  decodeXsStrings,
  encodeXsPermission,
  encodeXsStrings,
  encodeXsWrite,
  isXsPath,
  type XsPermission,
  XsType,
} from '../wire/xenstore.ts';
import type { Purpose } from './connection.ts';

/** How often a directory is read again because it changes while its parts are fetched. */
const PART_RESTARTS = 20;

/** Asks XenStore, and gives the answer's payload. */
export type Ask = (type: number, payload: Uint8Array, purpose: Purpose) => Promise<Uint8Array>;

/**
 * The typed requests of XenStore, outside transactions or in one. Paths are absolute, or relative to the
 * domain's home. All reject with ERR_VSND_INVALID_ARG for what is not a path, before anything is sent, and
 * otherwise with ERR_VSND_XENSTORE, whose `errno` and `path` say more.
 */
export class XenStoreOperations {
  readonly #request: Ask;

  /** `request`: inside a transaction, or outside. */
  constructor(request: Ask) {
    this.#request = request;
  }

  /** The value as text (UTF-8). */
  async read(path: string): Promise<string> {
    return Buffer.from(await this.readBytes(path)).toString();
  }

  /** As {@link read}; undefined where there is no such node. */
  async readIfPresent(path: string): Promise<string | undefined> {
    try {
      return await this.read(path);
    } catch (error) {
      if (isVsndError(error, 'ERR_VSND_XENSTORE') && error.errno === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** The value as it is. */
  async readBytes(path: string): Promise<Uint8Array> {
    return await this.#ask(XsType.read, 'read', path);
  }

  /** Creates the node, and those missing above it, or changes its value; at most about 2 KiB in a guest. */
  async write(path: string, value: string | Uint8Array): Promise<void> {
    await this.#ask(XsType.write, 'write', path, (valid) => encodeXsWrite(valid, value));
  }

  /** Creates the node with an empty value if it is not there. */
  async mkdir(path: string): Promise<void> {
    await this.#ask(XsType.mkdir, 'make', path);
  }

  /** Removes the node and all below it; one that is not there is no error where its parent is. */
  async remove(path: string): Promise<void> {
    await this.#ask(XsType.rm, 'remove', path);
  }

  /** The names of the node's children. */
  async directory(path: string): Promise<string[]> {
    try {
      return decodeXsStrings(await this.#ask(XsType.directory, 'list', path));
    } catch (error) {
      if (isVsndError(error, 'ERR_VSND_XENSTORE') && error.errno === 'E2BIG')
        return this.#directoryInParts(path);
      throw error;
    }
  }

  /** The first entry names the owner, and what domains without an entry may. */
  async getPermissions(path: string): Promise<XsPermission[]> {
    return decodeXsStrings(await this.#ask(XsType.getPerms, 'read the permissions of', path)).map(
      decodeXsPermission,
    );
  }

  async setPermissions(path: string, permissions: readonly XsPermission[]): Promise<void> {
    const entries = permissions.map(encodeXsPermission);
    await this.#ask(XsType.setPerms, 'set the permissions of', path, (valid) =>
      encodeXsStrings(valid, ...entries),
    );
  }

  async #ask(
    type: number,
    operation: string,
    path: string,
    encode: (path: string) => Uint8Array = encodeXsStrings,
  ): Promise<Uint8Array> {
    checkPath(path);
    return await this.#request(type, encode(path), { operation, path });
  }

  /** A list longer than one message, from its start again whenever it changes on the way. */
  async #directoryInParts(path: string): Promise<string[]> {
    for (let attempt = 0; attempt <= PART_RESTARTS; attempt++) {
      const names = await this.#allParts(path);
      if (names !== undefined) return names;
    }
    throw protocolError(`XenStore: the directory ${path} changes all the time`);
  }

  async #allParts(path: string): Promise<string[] | undefined> {
    let generation: string | undefined;
    const names: string[] = [];
    for (let offset = 0; ; ) {
      const payload = await this.#ask(XsType.directoryPart, 'list', path, (valid) =>
        encodeXsStrings(valid, String(offset)),
      );
      const [current, ...part] = decodeXsStrings(payload);
      if (current === undefined || part.length === 0)
        throw protocolError('an empty part of a XenStore directory');
      generation ??= current;
      if (current !== generation) return undefined;
      // The empty name is the list's end.
      if (part.at(-1) === '') return names.concat(part.slice(0, -1));
      names.push(...part);
      offset += payload.length - Buffer.byteLength(current) - 1;
    }
  }
}

/** Throws ERR_VSND_INVALID_ARG for what XenStore would not take. */
export function checkPath(path: string): void {
  if (!isXsPath(path))
    throw invalidArgError('XenStore path', path, 'names of letters, digits, - _ @, joined by /');
}
