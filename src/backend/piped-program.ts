import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ChildProgram, type ProgramCommand } from '../child-program.ts';
import { VsndError } from '../errors.ts';
import { type Addon, loadAddon } from '../xen/linux/addon.ts';

/** fcntl(F_SETPIPE_SZ): gives a pipe room for at least `bytes`. */
export type SetPipeSize = (fd: number, bytes: number) => void;

/** That of native/. Throws as loadAddon() does. */
export function loadSetPipeSize(): SetPipeSize {
  return (loadAddon() as Addon & { setPipeSize: SetPipeSize }).setPipeSize;
}

/** The same where the addon is to be had. */
export function tryLoadSetPipeSize(): SetPipeSize | undefined {
  try {
    return loadSetPipeSize();
  } catch {
    return undefined;
  }
}

/** A program, and this process's end of a pipe to it or from it. */
export interface PipedProgram {
  readonly program: ChildProgram;
  readonly pipe: Socket;
}

/**
 * Starts a program with a pipe to its standard input, or from its standard output; `prepare` gets the file descriptor of
 * this process's end before that. Rejects with ERR_VSND_DEVICE.
 */
export async function startPiped(
  command: ProgramCommand,
  end: 'stdin' | 'stdout',
  prepare: (fd: number) => void = () => {},
): Promise<PipedProgram> {
  let pipe: Socket | undefined;
  try {
    const { readFd, writeFd } = await makePipe();
    const [ours, theirs] = end === 'stdin' ? [writeFd, readFd] : [readFd, writeFd];
    try {
      pipe = new Socket({ fd: ours, readable: end === 'stdout', writable: end === 'stdin' });
      prepare(ours);
      const stdio = { stdin: 'ignore', stdout: 'ignore', [end]: theirs } as const;
      return { program: await ChildProgram.start(command, stdio), pipe };
    } finally {
      closeSync(theirs);
    }
  } catch (cause) {
    pipe?.destroy();
    const message = `cannot start ${command.name}: ${(cause as Error).message}`;
    throw new VsndError('ERR_VSND_DEVICE', message, { cause });
  }
}

/** Why a program is of no use to a stream any more: as {@link ChildProgram.explain}. */
export function programError(program: ChildProgram, otherwise: string): VsndError {
  return new VsndError('ERR_VSND_DEVICE', program.explain(otherwise));
}

/**
 * Both ends of a pipe. Neither blocks here; a program that is given one as standard input or output gets it blocking. Node
 * has no pipe(): a FIFO, whose name is gone when both ends are open. No other program inherits them.
 */
async function makePipe(): Promise<{ readonly readFd: number; readonly writeFd: number }> {
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
