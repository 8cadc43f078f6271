import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VsndError } from '../errors.ts';
import { fileError } from '../wav/file-error.ts';
import { foreignKindError } from './foreign-kinds.ts';
import { decodeText } from './text.ts';
import { isWebAddress } from './web-address.ts';

/** Bytes of a playlist, at most: some ten thousand names. */
const LARGEST = 1 << 20;

/** Playlists that lead from one to the other, at most. */
const MOST_PLAYLISTS = 8;

/** An address that begins with a scheme, as in https://. */
const URL_LIKE = /^[a-z][a-z0-9+.-]*:\/\//i;

/** Whether a path, or an address, is a playlist's by its ending. */
export function isPlaylistName(path: string): boolean {
  return /\.(m3u8?|pls)$/i.test(path);
}

/** Whether what begins so is a playlist that says it. */
export function isPlaylistHead(head: Uint8Array): boolean {
  return /^(\ufeff)?\s*(#EXTM3U|\[playlist\])/i.test(decodeText(head.subarray(0, 64)));
}

/** Throws ERR_VSND_FILE for a playlist that has led to itself, or too far. `within`: those that have led to it. */
export function checkNesting(playlist: string, within: readonly string[]): void {
  if (within.includes(playlist)) {
    throw new VsndError('ERR_VSND_FILE', `the playlist ${playlist} names itself`);
  }
  if (within.length >= MOST_PLAYLISTS) {
    throw new VsndError(
      'ERR_VSND_FILE',
      `${playlist} is in ${within.length} playlists, one in the other; allowed: ${MOST_PLAYLISTS - 1}`,
    );
  }
}

/** What a playlist in a file names: paths, seen from here, and addresses. Rejects with ERR_VSND_FILE. */
export async function readPlaylist(path: string): Promise<string[]> {
  const bytes = await readFirst(path).catch((error: unknown) => {
    throw error instanceof VsndError ? error : fileError(`cannot open ${path}`, error);
  });
  return parsePlaylist(bytes, path).map((entry) => {
    if (/^file:\/\//i.test(entry)) return pathOf(entry, path);
    return URL_LIKE.test(entry) ? entry : resolveFrom(path, entry);
  });
}

/** What a playlist of a server's names: addresses of servers. `url`: its own. Throws ERR_VSND_FILE. */
export function readWebPlaylist(bytes: Uint8Array, url: string): string[] {
  return parsePlaylist(bytes, url).map((entry) => {
    const address = URL.canParse(entry, url) ? new URL(entry, url).href : entry;
    if (isWebAddress(address)) return address;
    throw new VsndError('ERR_VSND_FILE', `${url} names ${JSON.stringify(entry)}; allowed: http and https`);
  });
}

/** The names in a playlist, M3U or PLS, in its order. Throws ERR_VSND_FILE where there are none, or for HLS. */
function parsePlaylist(bytes: Uint8Array, name: string): string[] {
  if (bytes.length > LARGEST) {
    throw new VsndError('ERR_VSND_FILE', `${name} is no playlist: it has more than ${LARGEST} bytes`);
  }
  const text = decodeText(bytes).replace(/^\ufeff/, '');
  const lines = text.split(/[\r\n]+/).map((line) => line.trim());
  if (lines.some((line) => line.startsWith('#EXT-X-'))) throw foreignKindError({ name, path: name }, 'HLS');
  const entries = /^\s*\[playlist\]/i.test(text) ? pls(lines) : m3u(lines);
  if (entries.length === 0) throw new VsndError('ERR_VSND_FILE', `${name} is a playlist that names nothing`);
  if (entries.some((entry) => entry.includes('\0'))) {
    throw new VsndError('ERR_VSND_FILE', `${name} is no playlist: it has bytes that are no text`);
  }
  return entries;
}

function m3u(lines: readonly string[]): string[] {
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

/** FileN=..., in the order of the numbers. */
function pls(lines: readonly string[]): string[] {
  return lines
    .flatMap((line) => {
      const [, number, entry] = /^File(\d{1,6})\s*=\s*(\S.*)$/i.exec(line) ?? [];
      return entry === undefined ? [] : [{ number: Number(number), entry }];
    })
    .sort((a, b) => a.number - b.number)
    .map(({ entry }) => entry);
}

/** The bytes of a file, one more than a playlist may have at most. */
async function readFirst(path: string): Promise<Uint8Array> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO would wait for its other end
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new VsndError('ERR_VSND_FILE', `${path} is not a regular file`);
    const bytes = new Uint8Array(Math.min(stats.size, LARGEST + 1));
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Names in a playlist are seen from where that is. */
function resolveFrom(playlist: string, entry: string): string {
  const path = isAbsolute(entry) ? entry : join(dirname(playlist), entry);
  return path === '-' ? './-' : path; // a file, not standard input
}

function pathOf(url: string, playlist: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw new VsndError('ERR_VSND_FILE', `${playlist} names ${JSON.stringify(url)}, which is no file here`);
  }
}
