import type { MessagePort } from 'node:worker_threads';
import { VsndError, type VsndErrorCode, type VsndErrorDetails } from '../../errors.ts';

/**
 * What one thread may ask of another, by name. A method that returns a promise is answered: `call()`; one that returns nothing
 * is only told: `tell()`. Arguments and results are copied, as postMessage() does it; shared memory is shared.
 */
export type CallTable = Record<string, (...args: never[]) => unknown>;

/** The names of the methods that are answered, and of those that are not. */
export type Answered<T extends CallTable> = {
  [N in keyof T & string]: ReturnType<T[N]> extends Promise<unknown> ? N : never;
}[keyof T & string];
type Told<T extends CallTable> = Exclude<keyof T & string, Answered<T>>;

/** An error as it is sent to another thread. */
export interface ErrorImage extends VsndErrorDetails {
  code: VsndErrorCode;
  message: string;
}

/** A number is a signal: nothing is cheaper to send. */
type Message =
  | number
  | { kind: 'tell'; name: string; args: unknown[] }
  | { kind: 'call'; id: number; name: string; args: unknown[] }
  | { kind: 'result'; id: number; result: unknown }
  | { kind: 'error'; id: number; error: ErrorImage };

interface PendingCall {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** One of the two ends of a MessagePort: each has a table of what the other may ask of it. */
export class ThreadCalls<Mine extends CallTable, Theirs extends CallTable> {
  readonly #port: MessagePort;
  readonly #mine: Mine;
  readonly #onSignal: (signal: number) => void;
  readonly #pending = new Map<number, PendingCall>();
  #nextId = 1;

  constructor(port: MessagePort, mine: Mine, onSignal: (signal: number) => void) {
    this.#port = port;
    this.#mine = mine;
    this.#onSignal = onSignal;
    port.on('message', (message: Message) => this.#receive(message));
  }

  call<N extends Answered<Theirs>>(
    name: N,
    ...args: Parameters<Theirs[N]>
  ): Promise<Awaited<ReturnType<Theirs[N]>>> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#pending.set(id, { resolve: resolve as PendingCall['resolve'], reject });
      this.#post({ kind: 'call', id, name, args });
    });
  }

  tell<N extends Told<Theirs>>(name: N, ...args: Parameters<Theirs[N]>): void {
    this.#post({ kind: 'tell', name, args });
  }

  signal(signal: number): void {
    this.#post(signal);
  }

  /** Nobody answers any more. */
  fail(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  #post(message: Message): void {
    this.#port.postMessage(message);
  }

  #receive(message: Message): void {
    if (typeof message === 'number') {
      this.#onSignal(message);
      return;
    }
    switch (message.kind) {
      case 'tell':
        void this.#run(message.name, message.args);
        break;
      case 'call':
        void this.#answer(message.id, message.name, message.args);
        break;
      case 'result':
        this.#take(message.id)?.resolve(message.result);
        break;
      case 'error':
        this.#take(message.id)?.reject(errorOf(message.error));
    }
  }

  #run(name: string, args: unknown[]): unknown {
    return this.#mine[name]?.(...(args as never[]));
  }

  async #answer(id: number, name: string, args: unknown[]): Promise<void> {
    try {
      this.#post({ kind: 'result', id, result: await this.#run(name, args) });
    } catch (error) {
      this.#post({ kind: 'error', id, error: imageOf(error) });
    }
  }

  #take(id: number): PendingCall | undefined {
    const call = this.#pending.get(id);
    this.#pending.delete(id);
    return call;
  }
}

export function imageOf(error: unknown): ErrorImage {
  const { message } = error as Error;
  if (!(error instanceof VsndError)) return { code: 'ERR_VSND_HYPERVISOR', message };
  const { code, errno, status, path, pid } = error;
  const details = Object.entries({ errno, status, path, pid }).filter(([, value]) => value !== undefined);
  return { code, message, ...Object.fromEntries(details) };
}

export function errorOf({ code, message, ...details }: ErrorImage): VsndError {
  return new VsndError(code, message, details);
}
