import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { deferred } from '../deferred.ts';
import { makePipe } from './pipe.ts';
import { cannotStart, GRACE, Program, type ProgramCommand } from './program.ts';

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
  #program: Program | undefined;
  #pipe: Socket | undefined;

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
    this.#pipe?.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#pipe?.destroy();
    void Promise.resolve(this.#program?.end()).then(() => {
      this.#ended.resolve();
      callback(error);
    });
  }

  async #start(): Promise<void> {
    const { command } = this.#options;
    try {
      const { readFd, writeFd } = await makePipe();
      try {
        this.#pipe = new Socket({ fd: readFd, readable: true, writable: false });
        this.#program = await Program.start(command, { stdin: 'ignore', stdout: writeFd });
      } finally {
        closeSync(writeFd);
      }
    } catch (cause) {
      throw cannotStart(command, cause);
    }
    this.#follow(this.#program, this.#pipe);
  }

  #follow(program: Program, pipe: Socket): void {
    pipe.on('data', (octets) => {
      if (!this.push(octets)) pipe.pause();
    });
    // One that fails closes its output before it says so; another one may live on without.
    const lastWord = () => Promise.race([program.ended, delay(GRACE, undefined, { ref: false })]);
    pipe.on('end', () => void lastWord().then(() => this.push(null)));
    pipe.on('error', (error) => this.destroy(program.failure(error.message)));
    void program.ended.then(() => {
      if (program.status !== 0) this.destroy(program.failure('has ended'));
    });
  }
}
