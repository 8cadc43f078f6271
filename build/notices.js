// Writes THIRD-PARTY-NOTICES.md: the licences of all that travels in the package and is not ours, from what is installed and
// from notices/parts.js.
//
//   node build/notices.js [--check]   --check: says what differs from what is there, and writes nothing
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { IN_ADDONS, PACKAGES } from './notices/parts.js';

const ROOT = new URL('../', import.meta.url);
const FILE = new URL('THIRD-PARTY-NOTICES.md', ROOT);

const read = (path) => readFileSync(new URL(path, ROOT), 'utf8');
const manifestOf = (name) => JSON.parse(read(`node_modules/${name}/package.json`));

/** All packages that travel, as npm has locked them. */
function bundledNames() {
  const { packages } = createRequire(import.meta.url)('../package-lock.json');
  return Object.entries(packages)
    .filter(([path, { dev, peer }]) => path.startsWith('node_modules/') && !dev && !peer)
    .map(([path]) => path.slice('node_modules/'.length))
    .sort();
}

const parts = [];
for (const name of bundledNames()) {
  const known = PACKAGES[name];
  if (!known)
    throw new Error(`${name} travels in the package: notices/parts.js is to say under which licence`);
  const { version, license } = manifestOf(name);
  if (license !== known.license)
    throw new Error(`${name} ${version} is under ${license}; notices/parts.js says ${known.license}`);
  parts.push({ title: `${name} ${version}`, ...known, package: name });
  for (const within of known.within ?? [])
    parts.push({ title: `${within.name}, compiled into ${name}`, ...within, package: name });
}
for (const addon of IN_ADDONS) {
  const version = addon.package ? ` ${manifestOf(addon.package).version}` : '';
  parts.push({ title: `${addon.name}${version}, compiled into the addons`, ...addon });
}

const texts = new Map(); // a text that is the same for several parts stands once
for (const { title, text, also = [], package: owner } of parts) {
  for (const one of [{ title, text }, ...also]) {
    const { source, words } = wordsOf(one.text, owner);
    const key = words.replace(/\s+/g, ' ');
    texts.set(key, { titles: [...(texts.get(key)?.titles ?? []), one.title], source, words });
  }
}

function wordsOf({ file, to, text, source, before }, owner) {
  const whole = read(file ? `node_modules/${owner}/${file}` : `build/notices/texts/${text}`);
  const words = to ? whole.slice(0, whole.indexOf(to) + to.length) : whole;
  return { source, words: `${before ? `${before}\n\n` : ''}${words.replaceAll('\r', '').trim()}` };
}

const expression = [
  'MIT',
  ...[...new Set(parts.map(({ license }) => license))].filter((one) => one !== 'MIT').sort(),
].join(' AND ');

const notices = `<!-- Written by \`node build/notices.js\`. -->
# Third-party notices

vsnd itself is under the MIT licence (LICENSE). Inside its package travel other people's works, each as a file of its own below
\`node_modules/\`, loaded when it is first needed. The package as a whole is \`${expression}\`.

| part | licence | text from |
| --- | --- | --- |
${parts.map(({ title, license, text }) => `| ${title} | ${license} | ${text.source} |`).join('\n')}

The decoders' packages do not say which version of its C library each was compiled from; their repositories do, as submodules:
https://github.com/eshaz/wasm-audio-decoders, https://github.com/eshaz/codec-parser, https://github.com/webcast/libsamplerate.js.
That is where the source of the parts under the LGPL is, and how they are built.

## To replace a part

Nothing of these packages is copied into vsnd's own files: it imports them by their names. A changed \`codec-parser\` or
\`mpg123-decoder\` (libmpg123) is used as soon as it lies in the place of the one that came along:

    cd node_modules/vsnd/node_modules   # of a global installation: $(npm root -g)/vsnd/node_modules
    rm -r mpg123-decoder && cp -r ~/my/mpg123-decoder .

\`test/package/check.sh\` does that. The licence allows you to change them for your own use, and to debug such changes.

${[...texts.values()].map(({ titles, source, words }) => `## ${titles.join('; ')}\n\nText: ${source}.\n\n~~~text\n${words}\n~~~\n`).join('\n')}`;

const complaints = [];
if (JSON.parse(read('package.json')).license !== expression)
  complaints.push(
    `"license" of package.json is '${JSON.parse(read('package.json')).license}'; what travels is '${expression}'`,
  );
if (process.argv.includes('--check')) {
  if (read('THIRD-PARTY-NOTICES.md') !== notices)
    complaints.push('THIRD-PARTY-NOTICES.md is not what is installed: node build/notices.js');
} else {
  writeFileSync(FILE, notices);
}
for (const complaint of complaints) console.error(`notices: ${complaint}`);
process.exitCode = complaints.length === 0 ? 0 : 1;
