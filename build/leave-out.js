// Removes from the bundled packages the files that nobody loads, so that npm does not pack them; `npm ci` brings them back.
import { existsSync, rmSync } from 'node:fs';

/** Below node_modules/: what is for browsers, the same once more in one file with its source map, sources of what is built. */
const UNUSED = [
  '@toots/libsamplerate.js/dist/libsamplerate_browser.js',
  '@toots/libsamplerate.js/dist/libsamplerate_browser_stubs.js',
  '@wasm-audio-decoders/common/src/puff/puff.c',
  '@wasm-audio-decoders/flac/dist',
  '@wasm-audio-decoders/ogg-vorbis/dist',
  'mpg123-decoder/dist',
  'opus-decoder/dist',
  'simple-yenc/src',
];

for (const path of UNUSED) {
  const place = new URL(`../node_modules/${path}`, import.meta.url);
  if (!existsSync(new URL('.', place))) throw new Error(`${path}: there is no such folder any more`);
  rmSync(place, { recursive: true, force: true });
}
