import { once } from 'node:events';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { type Clock, timeout } from '../clock.ts';
import { type Deferred, deferred } from '../deferred.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { fileError } from '../wav/file-error.ts';
import { readLines } from './lines.ts';
import { checkSocketPath } from './places.ts';
import {
  encodeLine,
  LONGEST_ANSWER,
  type Method,
  type Params,
  parseResult,
  type Result,
} from './protocol.ts';

/** ns: a backend is given 3 s to answer, and whoever asks it a little more. */
const ANSWER_TIMEOUT = 5e9;

/** A connection to the process that owns a card. */
export class ControlClient {
  readonly path: string;
  /** Resolves when the connection is over, from either side. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #clock: Clock;
  /** What has been asked and not answered; answers come in that order. */
  readonly #asked: Deferred<string | undefined>[] = [];
  #failure: Error | undefined;
  #ownerIsGone = false;
  #lastId = 0;

  /**
   * Rejects with ERR_VSND_INVALID_ARG for a path that is none of a socket, with ERR_VSND_FILE and the errno: ENOENT or
   * ECONNREFUSED where no process serves it. `owner`: the uid whose socket it is to be, else EPERM.
   */
  static async connect(path: string, clock: Clock, owner?: number): Promise<ControlClient> {
    checkSocketPath(path);
    const file = owner === undefined ? undefined : await openSocketOf(owner, path);
    // Through the descriptor: the path may lead elsewhere by now.
    const socket = connect({ path: file ? `/proc/self/fd/${file.fd}` : path });
    try {
      await once(socket, 'connect');
    } catch (error) {
      throw fileError(`cannot connect to ${path}`, error);
    } finally {
      await file?.close();
    }
    return new ControlClient(path, socket, clock);
  }

  private constructor(path: string, socket: Socket, clock: Clock) {
    this.path = path;
    this.#socket = socket;
    this.#clock = clock;
    this.closed = this.#takeAnswers();
  }

  /** Whether it is the owner who has ended the connection: it has closed the card. */
  get ownerIsGone(): boolean {
    return this.#ownerIsGone;
  }

  /**
   * Asks for something. Rejects with what the owner says to it, with ERR_VSND_PROTOCOL for an answer that is none, and with
   * ERR_VSND_INVALID_STATE where the connection is over, or 5 s have passed: that ends it.
   */
  async request<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    if (this.#failure) throw this.#failure;
    const id = ++this.#lastId;
    const answer = deferred<string | undefined>();
    this.#asked.push(answer);
    this.#socket.write(encodeLine({ id, method, params }));
    const timer = timeout(this.#clock, ANSWER_TIMEOUT, () => this.#end('does not answer'));
    try {
      return parseResult(await answer.promise, id, method);
    } finally {
      timer.cancel();
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#end('is not asked any more');
    await this.closed;
  }

  /** Never rejects. */
  async #takeAnswers(): Promise<void> {
    try {
      for await (const line of readLines(this.#socket, LONGEST_ANSWER)) this.#asked.shift()?.resolve(line);
    } catch {
      // #end() has said why, or the owner has gone
    }
    this.#ownerIsGone = this.#failure === undefined;
    this.#end('has closed the card');
  }

  #end(what: string): void {
    this.#failure ??= new VsndError('ERR_VSND_INVALID_STATE', `the process behind ${this.path} ${what}`);
    for (const answer of this.#asked.splice(0)) answer.reject(this.#failure);
    this.#socket.destroy();
  }
}

/** open(2)'s O_PATH, which Node does not name: the file itself, without opening what is behind it. */
const O_PATH = 0o10000000;

/**
 * The socket at `path`, if it is that user's. Undefined on systems without O_PATH: there it has been asked, but not held.
 * Rejects with ERR_VSND_FILE and the errno: EPERM, or ENOTSOCK.
 */
async function openSocketOf(owner: number, path: string): Promise<FileHandle | undefined> {
  const refusalError = (code: 'EPERM' | 'ENOTSOCK', what: string) =>
    new VsndError('ERR_VSND_FILE', `cannot connect to ${path}: it is ${what}`, { errno: code });
  const check = (stats: Stats) => {
    if (!stats.isSocket()) throw refusalError('ENOTSOCK', 'not a socket');
    if (stats.uid !== owner) throw refusalError('EPERM', `of user ${stats.uid}, not of user ${owner}`);
  };
  let file: FileHandle | undefined;
  try {
    if (process.platform === 'linux') file = await open(path, O_PATH | constants.O_NOFOLLOW);
    check(await (file ? file.stat() : lstat(path)));
    return file;
  } catch (error) {
    await file?.close();
    throw isVsndError(error) ? error : fileError(`cannot connect to ${path}`, error);
  }
}
