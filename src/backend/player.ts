import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { RealClock, timeout } from '../clock.ts';
import { deferred } from '../deferred.ts';
import { VsndError } from '../errors.ts';
import { makePipe } from './pipe.ts';
import { cannotStart, GRACE, Program, type ProgramCommand } from './program.ts';

/** Gives a pipe room for about that many octets (F_SETPIPE_SZ). */
export type SetPipeSize = (fd: number, octets: number) => void;

export interface PlayerOptions {
  readonly command: ProgramCommand;
  /** The size that its pipe should have. */
  readonly pipeBytes: number;
  /** Without it the pipe keeps the size that the system gives it, 64 KiB. */
  readonly setPipeSize?: SetPipeSize | undefined;
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
  #program: Program | undefined;
  #pipe: Socket | undefined;
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
      const stopped = new VsndError('ERR_VSND_DEVICE', `${this.#options.command.name} was stopped`);
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
    if (this.#program) void this.#program.end();
    else this.#ended.resolve(); // it was never started
    void this.ended.then(() => callback(error));
  }

  async #start(): Promise<void> {
    const { command, pipeBytes, setPipeSize } = this.#options;
    try {
      const { readFd, writeFd } = await makePipe();
      this.#pipe = new Socket({ fd: writeFd, readable: false, writable: true });
      this.#pipe.on('error', () => this.#lostReader());
      try {
        setPipeSize?.(writeFd, pipeBytes);
        this.#program = await Program.start(command, { stdin: readFd, stdout: 'ignore' });
      } finally {
        closeSync(readFd);
      }
    } catch (cause) {
      throw cannotStart(command, cause);
    }
    void this.#program.ended.then(() => {
      this.#ended.resolve();
      if (!this.#finishing) this.destroy(this.#failure());
    });
  }

  /** Nobody will read what is written any more; the program should be about to end, and to say why. */
  #lostReader(): void {
    timeout(new RealClock(), GRACE * 1e6, () => this.destroy(this.#failure())).unref();
  }

  /** Why the program must not have ended, or not so; undefined where all is well. */
  #failure(): VsndError | undefined {
    if (this.#program?.status !== 0) return this.#program?.failure('has closed its standard input');
    return this.#finishing ? undefined : this.#program.failure('ended before its sound did');
  }
}
