import { type Clock, timeout } from '../clock.ts';
import { VsndError } from '../errors.ts';

/** ns: a server from which so long nothing has come is lost. */
const SILENCE = 10e9;

export interface WebRequest {
  readonly clock: Clock;
  /** Ends the connection. */
  readonly signal: AbortSignal;
  /** Bytes that have come before: only what follows is wanted. */
  readonly from?: number;
}

/** The answer of a server that has what was asked for. */
export interface WebAnswer {
  /** Where it has come from in the end. */
  readonly url: string;
  readonly headers: Headers;
  /** Bytes in all; undefined where the server does not say. */
  readonly length: number | undefined;
  /** The bytes, from `from` on. Rejects with why they do not come. Leaving the loop ends the connection. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Asks a server. Rejects with why it does not answer, and with the reason of `signal` where that aborts. */
export async function askServer(
  address: string,
  { clock, signal, from = 0 }: WebRequest,
): Promise<WebAnswer> {
  const connection = new AbortController();
  const ended = AbortSignal.any([signal, connection.signal]);
  const headers = {
    'icy-metadata': '1', // titles, please
    'accept-encoding': 'identity', // lengths and ranges are of the recording itself
    ...(from > 0 && { range: `bytes=${from}-` }),
  };
  const patience = <T>(promise: Promise<T>) => inTime(promise, clock, connection);
  try {
    const response = await patience(fetch(address, { headers, signal: ended }));
    if (!response.ok) {
      throw new Error(`${response.status} ${response.statusText}`.trim());
    }
    const length = lengthOf(response.headers);
    const isRest = response.status === 206;
    const bytes = received(response, connection, patience);
    return {
      url: response.url,
      headers: response.headers,
      length: length === undefined ? undefined : length + (isRest ? from : 0),
      bytes: isRest ? bytes : behind(bytes, from),
    };
  } catch (error) {
    connection.abort();
    signal.throwIfAborted();
    throw error;
  }
}

/** What went wrong, in a line. */
export function webError(address: string, error: unknown): VsndError {
  if (error instanceof VsndError) return error;
  return new VsndError('ERR_VSND_FILE', `cannot play ${address}: ${reasonOf(error)}`, { cause: error });
}

/** fetch says why in the cause. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  if (!(cause instanceof Error)) return message;
  const [first] = cause instanceof AggregateError ? (cause.errors as Error[]) : [cause];
  return first?.message || (cause as NodeJS.ErrnoException).code || message;
}

async function* received(
  response: Response,
  connection: AbortController,
  patience: <T>(promise: Promise<T>) => Promise<T>,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  try {
    for (;;) {
      // While nobody asks for more the server waits, and is not silent.
      const read = reader && (await patience(reader.read()));
      if (read?.value === undefined) return;
      yield read.value;
    }
  } finally {
    connection.abort();
  }
}

/** As the promise settles; where that takes too long the connection ends, and with it what was promised. */
async function inTime<T>(promise: Promise<T>, clock: Clock, connection: AbortController): Promise<T> {
  const silent = new Error(`nothing has come for ${SILENCE / 1e9} s`);
  const limit = timeout(clock, SILENCE, () => connection.abort(silent));
  try {
    return await promise;
  } finally {
    limit.cancel();
  }
}

/** Leaves out what has come before, for a server that begins anew. */
async function* behind(bytes: AsyncIterable<Uint8Array>, from: number): AsyncGenerator<Uint8Array> {
  let toSkip = from;
  for await (const chunk of bytes) {
    if (chunk.length > toSkip) yield chunk.subarray(toSkip);
    toSkip = Math.max(0, toSkip - chunk.length);
  }
}

function lengthOf(headers: Headers): number | undefined {
  const length = headers.get('content-length');
  return length !== null && /^\d{1,15}$/.test(length) && !headers.has('content-encoding')
    ? Number(length)
    : undefined;
}
