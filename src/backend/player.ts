import { Writable } from 'node:stream';
import { GRACE, type ProgramCommand } from '../child-program.ts';
import { RealClock, timeout } from '../clock.ts';
import { deferred } from '../deferred.ts';
import { VsndError } from '../errors.ts';
import { type PipedProgram, programError, type SetPipeSize, startPiped } from './piped-program.ts';

export interface PlayerOptions {
  readonly command: ProgramCommand;
  /** The size that its pipe should have. */
  readonly pipeBytes: number;
  /** Without it the pipe keeps the size that the system gives it, 64 KiB. */
  readonly setPipeSize?: SetPipeSize | undefined;
}

/**
 * A running program with a pipe to its standard input; 'open' says that it has been started. A write callback
 * runs when the pipe has taken the bytes; 'finish' means that the program has taken them all and ended well;
 * destroy() ends it. A program that ends on its own, or with another status than 0, is an ERR_VSND_DEVICE
 * with the last line of its standard error.
 */
export class Player extends Writable {
  readonly #options: PlayerOptions;
  readonly #ended = deferred();
  #piped: PipedProgram | undefined;
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
    this.#piped?.pipe.write(piece, (error) => {
      if (!error && !this.destroyed) return callback(); // a destroyed pipe calls back without an error
      const stopped = new VsndError('ERR_VSND_DEVICE', `${this.#options.command.name} was stopped`);
      void this.ended.then(() => callback(this.errored ?? error ?? stopped));
    });
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finishing = true;
    this.#piped?.pipe.destroy(); // all is written: end of file
    void this.ended.then(() => callback(this.#endError()));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#finishing = true;
    this.#piped?.pipe.destroy();
    if (this.#piped) void this.#piped.program.end();
    else this.#ended.resolve(); // it was never started
    void this.ended.then(() => callback(error));
  }

  async #start(): Promise<void> {
    const { command, pipeBytes, setPipeSize } = this.#options;
    this.#piped = await startPiped(command, 'stdin', (fd) => setPipeSize?.(fd, pipeBytes));
    const { program, pipe } = this.#piped;
    pipe.on('error', () => this.#lostReader());
    void program.ended.then(() => {
      this.#ended.resolve();
      if (!this.#finishing) this.destroy(this.#endError());
    });
  }

  /** Nobody will read what is written any more; the program should be about to end, and to say why. */
  #lostReader(): void {
    timeout(new RealClock(), GRACE, () => this.destroy(this.#endError())).unref();
  }

  /** Why the program must not have ended, or not so; undefined where all is well. */
  #endError(): VsndError | undefined {
    const { program } = this.#piped ?? {};
    if (program === undefined) return undefined;
    if (program.status !== 0) return programError(program, 'has closed its standard input');
    return this.#finishing ? undefined : programError(program, 'ended before its sound did');
  }
}
