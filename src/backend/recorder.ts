import { Readable } from 'node:stream';
import { GRACE, type ProgramCommand } from '../child-program.ts';
import { RealClock, wait } from '../clock.ts';
import { deferred } from '../deferred.ts';
import { type PipedProgram, programError, startPiped } from './piped-program.ts';

export interface RecorderOptions {
  readonly command: ProgramCommand;
}

/**
 * A running program with a pipe from its standard output; 'open' says that it has been started. What is not read is
 * held back in the pipe, and so in the program. 'end' means that it has closed its output; destroy() ends it. One that
 * ends on its own, with another status than 0, is an ERR_VSND_DEVICE with the last line of its standard error.
 */
export class Recorder extends Readable {
  readonly #options: RecorderOptions;
  readonly #ended = deferred();
  #piped: PipedProgram | undefined;

  constructor(options: RecorderOptions) {
    super({ autoDestroy: false }); // its output ends before it does
    this.#options = options;
  }

  /** Resolves when the program, and whatever it had started, is gone; not before {@link destroy} has been called. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#start().then(() => {
      callback();
      this.emit('open');
    }, callback);
  }

  override _read(): void {
    this.#piped?.pipe.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#piped?.pipe.destroy();
    void Promise.resolve(this.#piped?.program.end()).then(() => {
      this.#ended.resolve();
      callback(error);
    });
  }

  async #start(): Promise<void> {
    this.#piped = await startPiped(this.#options.command, 'stdout');
    const { program, pipe } = this.#piped;
    pipe.on('data', (bytes) => {
      if (!this.push(bytes)) pipe.pause();
    });
    // One that fails closes its output before it says so; another one may live on without.
    const lastWord = () => Promise.race([program.ended, wait(new RealClock(), GRACE, { ref: false })]);
    pipe.on('end', () => void lastWord().then(() => this.push(null)));
    pipe.on('error', (error) => this.destroy(programError(program, error.message)));
    void program.ended.then(() => {
      if (program.status !== 0) this.destroy(programError(program, 'has ended'));
    });
  }
}
