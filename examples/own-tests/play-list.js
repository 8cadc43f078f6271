// A small player, written so that it can be tested: it is given its card. Its test is play-list.test.js.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Frames of silence between two tracks */
export const GAP_FRAMES = 4800;

const FORMAT = { rate: 48_000, channels: 1, format: 's16_le' };
const FRAME_BYTES = 2;

/**
 * Plays tracks (`{ title, frames }`, frames being bytes of 48 kHz mono s16_le) one after the other. `onTitle` is called
 * when a track is heard to begin, which is later than when it is written. Resolves when the last frame has been played.
 */
export async function playList(card, tracks, { onTitle = () => {}, signal } = {}) {
  const out = card.createPlaybackStream({ ...FORMAT, signal });
  const upcoming = schedule(tracks);
  out.on('position', ({ frames }) => {
    while (upcoming.length > 0 && upcoming[0].startsAt < frames) onTitle(upcoming.shift().title);
  });
  const gap = new Uint8Array(GAP_FRAMES * FRAME_BYTES);
  const pieces = tracks.flatMap((track, index) => (index === 0 ? [track.frames] : [gap, track.frames]));
  await pipeline(Readable.from(pieces), out);
}

/** At which frame of the stream each track starts. */
function schedule(tracks) {
  let startsAt = 0;
  return tracks.map(({ title, frames }) => {
    const entry = { title, startsAt };
    startsAt += frames.length / FRAME_BYTES + GAP_FRAMES;
    return entry;
  });
}
