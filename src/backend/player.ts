import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { deferred } from '../deferred.ts';
import { VsndError } from '../errors.ts';

/** ms that a program has to end after SIGTERM, or to say why it has ended. */
const GRACE = 500;

/** Characters of a program's standard error that are kept, and of its last line that are reported. */
const STDERR_KEPT = 4096;
const STDERR_REPORTED = 200;

/** Gives a pipe room for about that many octets (F_SETPIPE_SZ). */
export type SetPipeSize = (fd: number, octets: number) => void;

/** A program that plays what comes on its standard input. */
export interface PlayerCommand {
  /** What it is called in messages. */
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface PlayerOptions {
  readonly command: PlayerCommand;
  /** The size that its pipe should have. */
  readonly pipeBytes: number;
  /** Without it the pipe keeps the size that the system gives it, 64 KiB. */
  readonly setPipeSize?: SetPipeSize | undefined;
  /** It is started when this has resolved. */
  readonly after?: Promise<void> | undefined;
}

/**
 * A running program with a pipe to its standard input; 'open' says that it has been started. A write callback
 * runs when the pipe has taken the octets; 'finish' means that the program has taken them all and ended well;
 * destroy() ends it. A program that ends on its own, or with another status than 0, is an ERR_VSND_DEVICE
 * with the last line of its standard error.
 */
export class Player extends Writable {
  readonly #options: PlayerOptions;
  readonly #ended = deferred();
  #child: ChildProcess | undefined;
  #pipe: Socket | undefined;
  #stderr = '';
  #isGone = false;
  /** Its input has been closed: it may end now. */
  #finishing = false;

  constructor(options: PlayerOptions) {
    super({ highWaterMark: 1 });
    this.#options = options;
  }

  /** Resolves when the program, and whatever it had started, is gone. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#start().then(() => {
      callback();
      this.emit('open');
    }, callback);
  }

  override _write(piece: Uint8Array, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#pipe?.write(piece, (error) => {
      if (!error && !this.destroyed) return callback(); // a destroyed pipe calls back without an error
      const stopped = deviceError(`${this.#options.command.name} was stopped`);
      void this.ended.then(() => callback(this.errored ?? error ?? stopped));
    });
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finishing = true;
    this.#pipe?.destroy(); // all is written: end of file
    void this.ended.then(() => callback(this.#failure()));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#finishing = true;
    this.#pipe?.destroy();
    if (this.#child === undefined) this.#ended.resolve(); // it was never started
    this.#signal('SIGTERM');
    const timer = setTimeout(() => this.#signal('SIGKILL'), GRACE);
    void this.ended.then(() => {
      clearTimeout(timer);
      callback(error);
    });
  }

  async #start(): Promise<void> {
    const { command, pipeBytes, setPipeSize, after } = this.#options;
    await after;
    try {
      const { readFd, writeFd } = await makePipe();
      this.#pipe = new Socket({ fd: writeFd, readable: false, writable: true });
      this.#pipe.on('error', () => this.#lostReader());
      let child: ChildProcess;
      try {
        setPipeSize?.(writeFd, pipeBytes);
        child = spawn(command.file, command.args, {
          stdio: [readFd, 'ignore', 'pipe'],
          env: { ...process.env, ...command.env },
          detached: true, // a process group, which can be ended as a whole, and which Ctrl-C does not reach
        });
      } finally {
        closeSync(readFd);
      }
      await once(child, 'spawn');
      this.#child = child;
      this.#follow(child);
    } catch (cause) {
      throw deviceError(`cannot start ${command.name}: ${(cause as Error).message}`, cause);
    }
  }

  #follow(child: ChildProcess): void {
    child.on('error', () => {}); // a signal that could not be sent
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    let timer: NodeJS.Timeout | undefined;
    child.once('exit', () => {
      this.#signal('SIGKILL'); // to what it has left behind in its group
      timer = setTimeout(() => child.stderr?.destroy(), GRACE); // somebody outside the group may hold it
    });
    child.once('close', () => {
      clearTimeout(timer);
      this.#isGone = true;
      this.#ended.resolve();
      if (!this.#finishing) this.destroy(this.#failure());
    });
  }

  /** Nobody will read what is written any more; the program should be about to end, and to say why. */
  #lostReader(): void {
    setTimeout(() => this.destroy(this.#failure()), GRACE).unref();
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined || this.#isGone) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // no such process: it has ended
    }
  }

  /** Why the program must not have ended, or not so; undefined where all is well. */
  #failure(): VsndError | undefined {
    const { exitCode, signalCode } = this.#child ?? {};
    const { name } = this.#options.command;
    const what = () => {
      if (exitCode) return `ended with status ${exitCode}`;
      if (exitCode === 0) return this.#finishing ? undefined : 'ended before its sound did';
      return signalCode ? `was ended by ${signalCode}` : 'has closed its standard input';
    };
    const failed = what();
    if (failed === undefined) return undefined;
    const reason = this.#stderr.trimEnd().split('\n').at(-1)?.slice(0, STDERR_REPORTED);
    return deviceError(`${name} ${failed}${reason ? `: ${reason}` : ''}`);
  }
}

/** Node has no pipe(): a FIFO, whose name is gone when both ends are open. No other program inherits them. */
async function makePipe(): Promise<{ readFd: number; writeFd: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'vsnd-'));
  try {
    const path = join(directory, 'pcm');
    await promisify(execFile)('mkfifo', ['-m', '600', path]);
    // The reader first: without one there is nobody to write to. The program gets it as a blocking one.
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

function deviceError(message: string, cause?: unknown): VsndError {
  return new VsndError('ERR_VSND_DEVICE', message, { cause });
}
