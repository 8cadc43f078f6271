// What a program or a library asks for, in files of any architecture (ldd runs the file, and only its own).
import { readFileSync } from 'node:fs';

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;

/** The libraries that a 64-bit little-endian file names, and its loader; undefined for another file. */
export function readNeeds(path) {
  const file = readFileSync(path);
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const headers = programHeaders(file);
  const loader = headers.find(({ type }) => type === PT_INTERP);
  const dynamic = headers.find(({ type }) => type === PT_DYNAMIC);
  return {
    loader: loader && textAt(file, loader.offset),
    libraries: dynamic ? neededNames(file, headers, dynamic) : [],
  };
}

/** The modules that a kernel module (its bytes) needs, by their names with underscores. */
export function moduleDependencies(module) {
  const depends = /(?:^|\0)depends=([^\0]*)\0/.exec(module.toString('latin1'))?.[1] ?? '';
  return depends.split(',').filter(Boolean);
}

function programHeaders(file) {
  const start = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  return Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = start + index * size;
    const field = (offset) => Number(file.readBigUInt64LE(at + offset));
    return { type: file.readUInt32LE(at), offset: field(8), address: field(16), size: field(32) };
  });
}

function neededNames(file, headers, { offset, size }) {
  const entries = Array.from({ length: size / 16 }, (_, index) => ({
    tag: file.readBigUInt64LE(offset + index * 16),
    value: Number(file.readBigUInt64LE(offset + index * 16 + 8)),
  }));
  const address = entries.find(({ tag }) => tag === DT_STRTAB)?.value ?? 0;
  const segment = headers.find(
    (header) =>
      header.type === PT_LOAD && header.address <= address && address < header.address + header.size,
  );
  const strings = address - segment.address + segment.offset;
  return entries.filter(({ tag }) => tag === DT_NEEDED).map(({ value }) => textAt(file, strings + value));
}

function textAt(file, offset) {
  return file.toString('latin1', offset, file.indexOf(0, offset));
}
