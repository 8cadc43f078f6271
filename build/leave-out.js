// Keeps npm from packing what nobody loads. Of the bundled packages it is removed: `npm ci` brings it back. Of dist/, where tests
// load modules one by one, it is named to npm.
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { DIST, reachedFiles } from './reached.js';

/** Below node_modules/: what is for browsers, the same once more in one file, sources of what is built, and how it is used by itself. */
const UNUSED = [
  '@toots/libsamplerate.js/dist/libsamplerate_browser.js',
  '@toots/libsamplerate.js/dist/libsamplerate_browser_stubs.js',
  '@wasm-audio-decoders/common/src/puff/puff.c',
  '@wasm-audio-decoders/flac/dist',
  '@wasm-audio-decoders/ogg-vorbis/dist',
  'mpg123-decoder/dist',
  'opus-decoder/dist',
  'simple-yenc/src',
  '@eshaz/web-worker/README.md',
  '@eshaz/web-worker/browser.js',
  '@eshaz/web-worker/cjs/browser.js',
  '@eshaz/web-worker/node.js',
  '@wasm-audio-decoders/flac/README.md',
  '@wasm-audio-decoders/ogg-vorbis/README.md',
  'codec-parser/README.md',
  'mpg123-decoder/README.md',
  'opus-decoder/README.md',
  'simple-yenc/README.md',
];

for (const path of UNUSED) {
  const place = new URL(`../node_modules/${path}`, import.meta.url);
  if (!existsSync(new URL('.', place))) throw new Error(`${path}: there is no such folder any more`);
  rmSync(place, { recursive: true, force: true });
}

const reached = reachedFiles('.js');
const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' });
const unreached = files.filter((name) => name.endsWith('.js') && !reached.has(join(DIST, name)));
writeFileSync(join(DIST, '.npmignore'), unreached.map((name) => `/${name.split(sep).join('/')}\n`).join(''));
