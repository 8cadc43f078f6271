import { Readable } from 'node:stream';
import { openAudio } from 'vsnd/audio';

/** ms: a connection from which so long nothing has come is lost. */
const SILENCE = 10_000;

/**
 * Connects to a station: its sound as it comes, and whether it goes on for ever, as what has no length does. `onTitle`
 * hears what the station says that it plays. Rejects where there is no sound to be had.
 */
export async function openStation(url, { signal, onTitle }) {
  const connection = new AbortController();
  const response = await fetch(url, {
    headers: { 'icy-metadata': '1' }, // titles, please
    signal: AbortSignal.any([signal, connection.signal]),
  });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  const chunks = received(response.body, connection);
  const interval = Number(response.headers.get('icy-metaint'));
  const octets = interval > 0 ? withoutTitles(chunks, interval, onTitle) : chunks;
  const source = await openAudio(Readable.from(octets), { name: url });
  return { source, isEndless: !response.headers.has('content-length') };
}

/** What comes; while nobody asks for it the station waits, and is not silent. */
async function* received(body, connection) {
  const chunks = body[Symbol.asyncIterator]();
  for (;;) {
    const silent = new Error(`nothing has come for ${SILENCE / 1000} s`);
    const timer = setTimeout(() => connection.abort(silent), SILENCE);
    try {
      const { value, done } = await chunks.next();
      if (done) return;
      yield value;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Takes the titles out of the sound: after every `interval` octets an octet that says how long one is, in units of 16. */
async function* withoutTitles(chunks, interval, onTitle) {
  let soundBytes = interval;
  let pending = Buffer.alloc(0);
  for await (const chunk of chunks) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length > 0) {
      if (soundBytes > 0) {
        const sound = pending.subarray(0, soundBytes);
        yield sound;
        soundBytes -= sound.length;
        pending = pending.subarray(sound.length);
      } else {
        const titleBytes = 1 + 16 * pending[0];
        if (pending.length < titleBytes) break;
        const [, title] = /StreamTitle='(.*?)';/.exec(pending.toString('utf8', 1, titleBytes)) ?? [];
        if (title) onTitle(title);
        soundBytes = interval;
        pending = pending.subarray(titleBytes);
      }
    }
  }
}
