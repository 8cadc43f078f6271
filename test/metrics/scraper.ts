import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { ManualClock } from '../../src/clock.ts';
import type { MetricsAddress } from '../../src/metrics/address.ts';
import type { ExpositionFormat } from '../../src/metrics/exposition.ts';
import { type MetricsServer, serveMetrics } from '../../src/metrics/server.ts';

export const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** Serves metrics, on a clock that stands still, until the test is over. */
export async function serve(
  render: (format: ExpositionFormat) => Iterable<string> = (format) => [`${format}\n`],
  address: MetricsAddress = LOOPBACK,
): Promise<MetricsServer & { readonly clock: ManualClock }> {
  const clock = new ManualClock();
  const server = await serveMetrics(render, address, clock);
  onTestFinished(async () => {
    await server.close();
    expect(clock.pendingTimers).toBe(0);
  });
  return { ...server, clock };
}

export const GET = 'GET /metrics HTTP/1.1\r\nHost: dom0\r\n\r\n';

/** A client that has said `text`, and what it has heard when it was hung up on. */
export class Scraper {
  readonly socket: Socket;
  readonly #closed: Promise<void>;
  #heard = '';

  constructor(address: MetricsAddress, text = '') {
    this.socket = connect({ ...address } as NetConnectOpts);
    this.socket.on('error', () => {}); // being hung up on may be one
    this.socket.on('data', (piece) => {
      this.#heard += piece.toString();
    });
    this.#closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.write(text);
  }

  /** All that it has heard; resolves when the connection is over. */
  async heard(): Promise<string> {
    await this.#closed;
    return this.#heard;
  }
}

/** What is answered to `text`, with the connection at its end. */
export async function scrape(address: MetricsAddress, text = GET): Promise<string> {
  return await new Scraper(address, text).heard();
}

/** The body of an answer. Throws for one that is not a good one. */
export function bodyOf(answer: string): string {
  const [head = '', body = ''] = answer.split(/\r\n\r\n([\s\S]*)/, 2);
  if (!head.startsWith('HTTP/1.1 200 OK\r\n')) throw new Error(`not answered: ${answer}`);
  return body;
}
