import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Fifo, FifoTools } from '../../src/bridge/fifo.ts';
import { ADDON } from './stand-in.ts';

const SKIP_REASON = existsSync(ADDON) ? undefined : 'the addon has not been built: npm run test:native';

const errno = (code: string) => expect.objectContaining({ code });

/** Settles with the next call of `fifo`'s handler. */
const ready = (fifo: Fifo): Promise<void> => new Promise((resolve) => fifo.start(resolve));

describe.skipIf(SKIP_REASON)('a FIFO', () => {
  let addon: FifoTools;
  let folder: string;
  let path: string;
  let open: Fifo[];
  const openFiles = () => readdirSync('/proc/self/fd').length;

  function openEnd(writing: boolean): Fifo {
    const fifo = new addon.Fifo(path, writing);
    open.push(fifo);
    return fifo;
  }

  function openBoth(): { reader: Fifo; writer: Fifo } {
    const reader = openEnd(false);
    return { reader, writer: openEnd(true) };
  }

  beforeEach(() => {
    addon = createRequire(import.meta.url)(ADDON);
    folder = mkdtempSync(join(tmpdir(), 'vsnd-fifo-'));
    path = join(folder, 'pcm');
    addon.makeFifo(path);
    open = [];
  });

  afterEach(() => {
    for (const fifo of open) fifo.close();
    rmSync(folder, { recursive: true });
  });

  test('is made for this user alone, and not over something else', () => {
    expect(statSync(path).isFIFO()).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(() => addon.makeFifo(path)).toThrow(errno('EEXIST'));
  });

  test('is not opened where it is none, or has no reader', () => {
    const files = openFiles();
    const file = join(folder, 'file');
    writeFileSync(file, 'text');
    for (const writing of [false, true]) {
      expect(() => new addon.Fifo(file, writing)).toThrow(errno('EINVAL'));
      expect(() => new addon.Fifo(join(folder, 'nothing'), writing)).toThrow(errno('ENOENT'));
    }
    expect(() => new addon.Fifo(path, true)).toThrow(errno('ENXIO'));
    expect(() => new addon.Fifo(path, 1 as unknown as boolean)).toThrow(TypeError);
    expect(openFiles()).toBe(files);
  });

  test('gives no more than is wanted, and says how much there is', () => {
    const { reader, writer } = openBoth();
    const into = Buffer.alloc(4);
    expect(reader.read(into)).toBeUndefined();
    expect(writer.write(Buffer.from('abcdef'))).toBe(6);
    expect(reader.waiting()).toBe(6);
    expect(reader.read(into)).toBe(4);
    expect(into.toString()).toBe('abcd');
    expect(reader.read(into)).toBe(2);
    expect(into.subarray(0, 2).toString()).toBe('ef');
    expect(reader.waiting()).toBe(0);
  });

  test('takes what there is room for', () => {
    const { reader, writer } = openBoth();
    expect(reader.setSize(1)).toBe(4096);
    expect(writer.write(Buffer.alloc(5000))).toBe(4096);
    expect(writer.write(Buffer.alloc(1))).toBe(0);
    expect(reader.setSize(8192)).toBe(8192);
    expect(writer.write(Buffer.alloc(5000))).toBe(4096);
    expect(() => reader.setSize(4096)).toThrow(errno('EBUSY'));
  });

  test('tells the reader of what comes, until it stops', async () => {
    const { reader, writer } = openBoth();
    const into = Buffer.alloc(1);
    let calls = 0;
    reader.start(() => calls++);
    await turn();
    expect(calls).toBe(0);
    reader.stop();
    writer.write(Buffer.from('xy'));
    for (let round = 0; round < 10; round++) await turn();
    expect(calls).toBe(0);
    await ready(reader);
    expect(reader.read(into)).toBe(1);
    await ready(reader); // the second byte is still there
    reader.stop();
    reader.stop();
  });

  test('tells the writer of room', async () => {
    const { reader, writer } = openBoth();
    reader.setSize(4096);
    await ready(writer);
    writer.write(Buffer.alloc(4096));
    let calls = 0;
    writer.start(() => calls++);
    for (let round = 0; round < 10; round++) await turn();
    expect(calls).toBe(0);
    reader.read(Buffer.alloc(4096));
    await ready(writer);
    expect(writer.write(Buffer.alloc(4096))).toBe(4096);
  });

  test('tells either end that the other one has gone', async () => {
    const { reader, writer } = openBoth();
    writer.write(Buffer.from('z'));
    writer.close();
    await ready(reader);
    expect(reader.read(Buffer.alloc(8))).toBe(1);
    await ready(reader);
    expect(reader.read(Buffer.alloc(8))).toBe(0);

    const next = openEnd(true);
    reader.close();
    await ready(next);
    expect(() => next.write(Buffer.from('z'))).toThrow(errno('EPIPE'));
  });

  test('that is closed does nothing, and may be closed again', () => {
    const files = openFiles();
    const { reader, writer } = openBoth();
    reader.start(() => {});
    for (const fifo of [reader, writer, reader, writer]) fifo.close();
    reader.stop();
    const attempts = [
      () => reader.read(Buffer.alloc(1)),
      () => writer.write(Buffer.alloc(1)),
      () => reader.start(() => {}),
      () => reader.waiting(),
      () => reader.setSize(4096),
    ];
    for (const attempt of attempts) expect(attempt, String(attempt)).toThrow(errno('EBADF'));
    expect(openFiles()).toBe(files);
  });

  test('checks what it is given', () => {
    const { reader } = openBoth();
    expect(() => reader.read('text' as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => reader.write(5 as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => reader.start(undefined as unknown as () => void)).toThrow(TypeError);
    expect(() => reader.setSize(-1)).toThrow(TypeError);
    expect(() => addon.makeFifo(7 as unknown as string)).toThrow(TypeError);
    expect(() => reader.write(Buffer.alloc(1))).toThrow(errno('EBADF')); // the end that reads
  });
});
