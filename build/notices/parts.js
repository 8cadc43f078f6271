// What travels in the package and is not ours: for each part its licence, and where the licence's text comes from. The version of
// a package, and the licence that it names itself, are read from what is installed.

const ISC_AUTHOR = 'Copyright Romain Beauxis';
const DECODERS = 'Copyright Ethan Halsall';

/** A text that the package itself brings. `to`: where in the file it ends. */
const shipped = (file, to) => ({ file, to, source: `the package itself, ${file}` });
/** A text that the package leaves out. */
const kept = (text, source, before) => ({ text, source, before });
const debian = (name) => `Debian's ${name}, /usr/share/doc/${name}/copyright`;

const MIT_OF_DECODERS = kept(
  'MIT.txt',
  "the words of simple-yenc's LICENSE, which is the same author's; this package names the licence in its package.json and has no text",
  DECODERS,
);

/** In the WebAssembly of each decoder, beside the library that it is named after. */
const EMSCRIPTEN = {
  name: "Emscripten's C library (musl)",
  license: 'MIT',
  text: kept('musl.txt', debian('musl-dev')),
};

/** The npm packages in node_modules/, by name, each with what is compiled into its WebAssembly. */
export const PACKAGES = {
  '@toots/libsamplerate.js': {
    license: 'ISC',
    text: kept('ISC.txt', 'the SPDX list; the package names the licence and has no text', ISC_AUTHOR),
    within: [
      {
        name: 'libsamplerate',
        license: 'BSD-2-Clause',
        text: kept('libsamplerate.txt', debian('libsamplerate0')),
      },
      EMSCRIPTEN,
    ],
  },
  '@wasm-audio-decoders/common': {
    license: 'MIT',
    text: MIT_OF_DECODERS,
    within: [{ name: 'puff 2.3', license: 'Zlib', text: shipped('src/puff/puff.h', '*/') }],
  },
  '@wasm-audio-decoders/flac': {
    license: 'MIT',
    text: MIT_OF_DECODERS,
    within: [
      { name: 'libFLAC', license: 'BSD-3-Clause', text: kept('libFLAC.txt', debian('flac')) },
      EMSCRIPTEN,
    ],
  },
  '@wasm-audio-decoders/ogg-vorbis': {
    license: 'MIT',
    text: MIT_OF_DECODERS,
    within: [
      { name: 'libvorbis', license: 'BSD-3-Clause', text: kept('libvorbis.txt', debian('libvorbis0a')) },
      { name: 'libogg', license: 'BSD-3-Clause', text: kept('libogg.txt', debian('libogg0')) },
      EMSCRIPTEN,
    ],
  },
  '@eshaz/web-worker': { license: 'Apache-2.0', text: shipped('LICENSE') },
  'codec-parser': {
    license: 'LGPL-3.0-or-later',
    text: shipped('LICENSE'),
    also: [
      {
        title: 'GNU General Public License, version 3, which the LGPL builds on',
        text: kept('GPL-3.0.txt', "Debian's base-files, /usr/share/common-licenses/GPL-3"),
      },
    ],
  },
  'mpg123-decoder': {
    license: 'MIT',
    text: MIT_OF_DECODERS,
    within: [
      {
        name: 'libmpg123',
        license: 'LGPL-2.1-only',
        text: kept('LGPL-2.1.txt', "Debian's base-files, /usr/share/common-licenses/LGPL-2.1"),
      },
      EMSCRIPTEN,
    ],
  },
  'opus-decoder': {
    license: 'MIT',
    text: MIT_OF_DECODERS,
    within: [
      { name: 'libopus', license: 'BSD-3-Clause', text: kept('libopus.txt', debian('libopus0')) },
      EMSCRIPTEN,
    ],
  },
  'simple-yenc': { license: 'MIT', text: shipped('LICENSE') },
};

/** What of others is compiled into prebuilds/: code of their headers. What is only declared there (libuv, Node-API, Linux) is not. */
export const IN_ADDONS = [
  { name: 'node-addon-api', package: 'node-addon-api', license: 'MIT', text: shipped('LICENSE.md') },
  {
    name: 'PipeWire (headers of SPA), in vsnd-pipewire.node',
    license: 'MIT',
    text: kept('pipewire.txt', debian('libpipewire-0.3-dev')),
  },
];
