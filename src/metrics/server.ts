import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { debuglog } from 'node:util';
import { type Clock, nextTurn, type Timer } from '../clock.ts';
import type { OwnDirectory } from '../control/own-directory.ts';
import { listenAtPath } from '../control/server.ts';
import { VsndError } from '../errors.ts';
import { type MetricsAddress, metricsUrl } from './address.ts';
import type { ExpositionFormat } from './exposition.ts';
import { answerHead, type HttpRefusal, refusal, understand } from './http.ts';

const debug = debuglog('vsnd');

/** Clients at once. For one more the oldest is hung up on: who holds its place must not keep others out. */
const MAX_CLIENTS = 16;

/** Bytes that a client may send, its request included. Prometheus needs 300. */
const LONGEST_REQUEST = 8192;

/** ns that a client has for all that it does. */
const DEADLINE = 10e9;

/** ns for which metrics are as good as new: what they cost does not grow with those who ask. */
const FRESH = 1e9;

const WHY_NOT: Readonly<Record<string, string>> = {
  EADDRINUSE: 'that is in use; choose another one',
  EADDRNOTAVAIL: 'this machine has no such address; 127.0.0.1, [::1] and 0.0.0.0 are allowed on each',
  ENOTFOUND: 'there is no such host; an address of this machine is allowed',
  EACCES: 'this user may not; allowed: ports from 1024 on, and sockets in directories of its own',
  ENOENT: 'there is no such directory',
};

export interface MetricsServer {
  readonly address: MetricsAddress;
  /** Hangs up on everybody, and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/**
 * Answers GET /metrics with what `render` says, at most a second ago. The server does not hold the process. Rejects with
 * ERR_VSND_INVALID_ARG where it cannot listen.
 *
 * Reads the one request of a connection itself: node:http parses all that a client has sent in one go, which with
 * 2400 requests in one piece of 64 KiB takes 50 ms and more, and sound has to wait.
 */
export async function serveMetrics(
  render: (format: ExpositionFormat) => Iterable<string>,
  address: MetricsAddress,
  clock: Clock,
): Promise<MetricsServer> {
  const pages = new Pages(render, clock);
  /** Each with its deadline. */
  const clients = new Map<Socket, Timer>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const deadline = clock.after(DEADLINE, () => client.destroy());
    deadline.unref();
    if (clients.size === MAX_CLIENTS) hangUpOnOldest(clients);
    clients.set(client.unref(), deadline);
    client.once('close', () => {
      clients.delete(client);
      deadline.cancel();
    });
    serveClient(client, pages);
  });
  server.unref();
  const directory = await listen(server, address);
  server.on('error', (error) => debug('metrics: %s', error));
  const close = async () => {
    for (const [client, deadline] of clients) {
      client.destroy();
      deadline.cancel();
    }
    await new Promise((resolve) => server.close(resolve));
    directory?.close();
  };
  return { address: boundTo(server, address), close };
}

function hangUpOnOldest(clients: Map<Socket, Timer>): void {
  const [oldest] = clients.keys();
  if (oldest === undefined) return;
  clients.get(oldest)?.cancel();
  clients.delete(oldest); // at once: 'close' comes later
  oldest.destroy();
}

/** Answers the first request, and does not look at what may come behind it. */
function serveClient(client: Socket, pages: Pages): void {
  let received = 0;
  let head = '';
  let isAnswered = false;
  const answer = async (asked: ExpositionFormat | HttpRefusal) => {
    isAnswered = true;
    for (const piece of await pages.answer(asked)) client.write(piece);
    client.end();
  };
  client.on('error', () => {}); // it has hung up
  client.on('data', (piece: Buffer) => {
    received += piece.length;
    if (isAnswered) {
      if (received > LONGEST_REQUEST) client.destroy();
      return;
    }
    head += piece.toString('latin1', 0, LONGEST_REQUEST);
    const end = head.indexOf('\r\n\r\n');
    if (end !== -1 && end <= LONGEST_REQUEST) void answer(understand(head.slice(0, end)));
    else if (received > LONGEST_REQUEST) void answer(431);
  });
  client.on('end', () => {
    if (!isAnswered) void answer(400);
  });
}

/** What has been rendered, for all who ask within a second. */
class Pages {
  readonly #render: (format: ExpositionFormat) => Iterable<string>;
  readonly #clock: Clock;
  readonly #pages = new Map<ExpositionFormat, { readonly time: number; readonly page: Promise<Buffer[]> }>();

  constructor(render: (format: ExpositionFormat) => Iterable<string>, clock: Clock) {
    this.#render = render;
    this.#clock = clock;
  }

  /** A whole answer, in pieces. Never rejects. */
  async answer(asked: ExpositionFormat | HttpRefusal): Promise<readonly (string | Buffer)[]> {
    if (typeof asked === 'number') return [refusal(asked)];
    try {
      const page = await this.#get(asked);
      const bytes = page.reduce((sum, { length }) => sum + length, 0);
      return [answerHead(asked, bytes), ...page];
    } catch (error) {
      debug('metrics: %s', error);
      return [refusal(500)];
    }
  }

  #get(format: ExpositionFormat): Promise<Buffer[]> {
    const time = this.#clock.now();
    const last = this.#pages.get(format);
    if (last !== undefined && time - last.time < FRESH) return last.page;
    const page = inTurns(this.#render(format));
    this.#pages.set(format, { time, page });
    return page;
  }
}

/** Makes the pieces one by one, and lets everybody else have his turn in between. */
async function inTurns(pieces: Iterable<string>): Promise<Buffer[]> {
  const made: Buffer[] = [];
  for (const piece of pieces) {
    made.push(Buffer.from(piece));
    await nextTurn();
  }
  return made;
}

/** Resolves with what is to be closed after the server. */
async function listen(server: Server, address: MetricsAddress): Promise<OwnDirectory | undefined> {
  try {
    if ('path' in address) return await listenAtPath(server, address.path);
    server.listen({ ...address, exclusive: true });
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const reason = WHY_NOT[code] ?? message;
    const text = `cannot serve metrics at ${metricsUrl(address)}: ${reason}`;
    throw new VsndError('ERR_VSND_INVALID_ARG', text, { option: '--metrics', cause: error });
  }
}

/** With the port that the system has chosen. */
function boundTo(server: Server, address: MetricsAddress): MetricsAddress {
  const bound = server.address();
  if ('path' in address || typeof bound !== 'object' || bound === null) return address;
  return { host: address.host, port: bound.port };
}
