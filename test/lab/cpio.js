// The archive that a Linux kernel unpacks as its first root file system ("newc").
import { readFileSync, statSync } from 'node:fs';

const FOLDER = 0o040755;
const PROGRAM = 0o100755;
const LINK = 0o120777;
const CONSOLE = 0o020600;
const TRAILER = 'TRAILER!!!';

/** Collects entries; a path's folders are made with it. */
export class Archive {
  #parts = [];
  #paths = new Set();
  #inode = 1;

  has(path) {
    return this.#paths.has(path);
  }

  /** Puts the content of `source` at `path`; what is there already stays. */
  addFile(path, source) {
    if (!this.has(path)) this.addContent(path, readFileSync(source));
  }

  addContent(path, content) {
    this.#add(path, PROGRAM, Buffer.from(content));
  }

  addLink(path, target) {
    if (!this.has(path)) this.#add(path, LINK, Buffer.from(target));
  }

  addFolder(path) {
    if (path !== '' && !this.has(path)) this.#add(path, FOLDER);
  }

  /** A kernel has no console for its first program unless the archive brings it. */
  addConsole() {
    this.#add('dev/console', CONSOLE, undefined, [5, 1]);
  }

  encode() {
    return Buffer.concat([...this.#parts, encodeEntry(TRAILER, 0, 0, Buffer.alloc(0))]);
  }

  #add(path, mode, content = Buffer.alloc(0), device = [0, 0]) {
    this.addFolder(path.split('/').slice(0, -1).join('/'));
    this.#paths.add(path);
    this.#parts.push(encodeEntry(path, this.#inode++, mode, content, device));
  }
}

/** Puts a whole folder of files there; `accept` chooses by the path. */
export function addTree(archive, path, source, list, accept = () => true) {
  for (const name of list(source)) {
    const from = `${source}/${name}`;
    const to = `${path}/${name}`;
    if (!accept(to)) continue;
    if (statSync(from).isDirectory()) addTree(archive, to, from, list, accept);
    else archive.addFile(to, from);
  }
}

function encodeEntry(path, inode, mode, content, [major, minor] = [0, 0]) {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, mtime, size, device, the device that it is, name's length, checksum
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(content)]);
}

function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
