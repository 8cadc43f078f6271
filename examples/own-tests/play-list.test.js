// Tests a program on an emulated machine whose time stands still until the test moves it:
//
//   node --test examples/own-tests/play-list.test.js
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { openCard } from 'vsnd';
import { startTestGuest } from 'vsnd/testing';
import { GAP_FRAMES, playList } from './play-list.js';

const SECOND = 48_000; // frames

let guest;
let card;

beforeEach(async () => {
  guest = await startTestGuest();
  card = await openCard({ hypervisor: guest.hypervisor });
});

afterEach(async () => {
  const closed = card.close();
  await guest.clock.advance(3 * SECOND); // as long as it waits for a backend that has gone
  await closed;
  await guest.close(); // throws where the program has left something behind
});

/** A second that can be told from every other track's. */
const track = (title, byte) => ({ title, frames: Buffer.alloc(SECOND * 2, byte) });
const first = track('first', 1);
const second = track('second', 2);

test('every frame is heard, and a gap between the tracks', async () => {
  const played = playList(card, [first, second]);
  await guest.clock.advance(2 * SECOND + GAP_FRAMES);
  await played;
  const gap = Buffer.alloc(GAP_FRAMES * 2);
  assert.deepEqual(Buffer.from(guest.device.heard()), Buffer.concat([first.frames, gap, second.frames]));
});

test('a title is told when its track is heard', async () => {
  const titles = [];
  const played = playList(card, [first, second], { onTitle: (title) => titles.push(title) });
  await guest.clock.advance(SECOND);
  assert.deepEqual(titles, ['first']); // although the second track is in the buffer already
  await guest.clock.advance(SECOND);
  assert.deepEqual(titles, ['first', 'second']);
  await guest.clock.advance(SECOND);
  await played;
});

test('an aborted signal stops the sound at once', async () => {
  const controller = new AbortController();
  const played = playList(card, [first], { signal: controller.signal });
  await guest.clock.advance(SECOND / 2);
  controller.abort();
  await assert.rejects(played, { name: 'AbortError' });
  const heard = guest.device.heard().length;
  await guest.clock.advance(SECOND);
  assert.equal(guest.device.heard().length, heard);
});

test('a backend that dies is an error with a code', async () => {
  const failed = assert.rejects(playList(card, [first]), { code: 'ERR_VSND_BACKEND_GONE' });
  await guest.clock.advance(SECOND / 2);
  await guest.backend.close();
  await failed;
});
