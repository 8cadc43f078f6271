import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Both ends of a pipe. Neither blocks here; a program that is given one as standard input or output gets it blocking. */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** Node has no pipe(): a FIFO, whose name is gone when both ends are open. No other program inherits them. */
export async function makePipe(): Promise<Pipe> {
  const directory = await mkdtemp(join(tmpdir(), 'vsnd-'));
  try {
    const path = join(directory, 'pcm');
    await promisify(execFile)('mkfifo', ['-m', '600', path]);
    // The reader first: without one there is nobody to write to.
    const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return { readFd, writeFd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) };
    } catch (error) {
      closeSync(readFd);
      throw error;
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
