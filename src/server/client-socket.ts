import type { Socket } from 'node:net';
import { type Clock, nextTurn, timeout } from '../clock.ts';
import type { Hub } from './hub.ts';
import { AUTHENTICATION_TIME } from './limits.ts';
import { Session, type Transport } from './session.ts';

/** A client's connection. What it sends beyond its turn waits for the next. */
export class ClientSocket implements Transport {
  readonly session: Session;
  readonly #socket: Socket;

  /** `isWelcome`: whether its user may use this server. */
  constructor(socket: Socket, hub: Hub, clock: Clock, isWelcome: boolean) {
    this.#socket = socket;
    this.session = new Session(hub, this, isWelcome);
    const deadline = timeout(clock, AUTHENTICATION_TIME, () => this.session.version === 0 && this.close());
    deadline.unref();
    socket
      .on('data', (chunk) => this.#receive(chunk))
      .on('drain', () => this.session.handleDrained())
      .on('error', () => {}) // 'close' follows
      .on('close', () => {
        deadline.cancel();
        this.session.close();
      });
  }

  get backlog(): number {
    return this.#socket.writableLength;
  }

  send(packet: Buffer): void {
    this.#socket.write(packet);
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const rest = this.session.receive(chunk);
    if (rest.length === 0) return;
    this.#socket.pause();
    void nextTurn().then(() => {
      if (this.#socket.destroyed) return;
      this.#socket.resume();
      this.#receive(rest);
    });
  }
}
