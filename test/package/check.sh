#!/usr/bin/env bash
# Installs the packed package in an empty folder and globally, as a user would, and uses it there: by its command and by import,
# then with npm `speaker`, whose sound ALSA writes to a file. What npm and its users ask of a package is looked at, too.
# Debian: man-db systemd, and what npm speaker is compiled with.
#
#   test/package/check.sh [--built]   --built: what is packed is there already, and not built first
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# speaker compiles its addon against the headers beside this Node, where there are some: none are downloaded.
prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
if [ -f "$prefix/include/node/node_api.h" ]; then export npm_config_nodedir=$prefix; fi

fail() {
  echo "check.sh: $*" >&2
  exit 1
}

case "${1-}" in
  '') scripts= ;;
  --built) scripts=--ignore-scripts ;;
  *) fail "unknown argument '$1'; usage: check.sh [--built]" ;;
esac
(cd "$root" && npm pack --silent $scripts --pack-destination "$work" >/dev/null)
echo "- the tarball: $(du -h --apparent-size vsnd-*.tgz | cut -f 1), unpacked $(gzip -dc vsnd-*.tgz | wc -c | numfmt --to=iec)"
tar tzf vsnd-*.tgz >contents
for target in linux-x64 linux-arm64 linux-x64-musl linux-arm64-musl; do
  for addon in vsnd vsnd-pipewire; do
    grep -qx "package/prebuilds/$target/$addon.node" contents || fail "the tarball has no $addon.node for $target"
  done
done
for name in $(node -p "Object.keys(require('$root/package.json').dependencies).join(' ')"); do
  grep -qx "package/node_modules/$name/package.json" contents || fail "the tarball does not have $name inside"
done

echo '- as it would be published: 6 MiB at most, its licences told, npm, publint and attw content'
size=$(tar tzvf vsnd-*.tgz | awk '{ size += $3 } END { print size }')
[ "$size" -le $((6 * 1024 * 1024)) ] || fail "installed it has $size bytes"
grep -qx 'package/THIRD-PARTY-NOTICES.md' contents || fail 'the tarball does not tell its licences'
tar xzf vsnd-*.tgz package/THIRD-PARTY-NOTICES.md
for name in $(sed -n 's,^package/node_modules/\(.*\)/package.json$,\1,p' contents); do
  grep -q "^| $name " package/THIRD-PARTY-NOTICES.md || fail "THIRD-PARTY-NOTICES.md lacks $name"
done
(cd "$root" && npm publish --dry-run --ignore-scripts 2>publish.log >/dev/null) || fail "$(cat "$root/publish.log")"
rm "$root/publish.log"
mkdir tools
npm install --silent --no-audit --no-fund --prefix tools publint@0.3 @arethetypeswrong/cli@0.18
tools/node_modules/.bin/publint --strict vsnd-*.tgz >publint.log || fail "$(cat publint.log)"
# Everything is ESM, on purpose: require() of it is that of Node 20.19.
tools/node_modules/.bin/attw --no-definitely-typed --profile esm-only -q vsnd-*.tgz ||
  fail "$(tools/node_modules/.bin/attw --no-definitely-typed --profile esm-only vsnd-*.tgz)"

echo '- an installation with nothing within reach: no network, an empty cache'
grep -qx 'package/man/vsnd.1' contents || fail 'the tarball has no man page'
for service in vsnd-bridge vsnd-backend vsnd-serve; do
  grep -qx "package/systemd/$service.service" contents || fail "the tarball has no $service.service"
done
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --offline --cache "$work/cache" ./vsnd-*.tgz
[ -z "$(ls node_modules | grep -vx vsnd)" ] || fail "vsnd brings other packages: $(ls node_modules | tr '\n' ' ')"
find node_modules -name package.json -print0 | xargs -0 node -e "for (const path of process.argv.slice(1)) {
  const { name, scripts = {} } = JSON.parse(require('fs').readFileSync(path));
  for (const script of ['preinstall', 'install', 'postinstall'])
    if (scripts[script]) throw new Error(name + ' has an install script: ' + script);
}"
[ -z "$(find node_modules -name binding.gyp)" ] || fail "npm would compile: $(find node_modules -name binding.gyp)"

echo '- the command'
npx vsnd play --emulate --fast --sink wav:heard.wav node_modules/vsnd/examples/hello.wav
cmp <(tail -c 458640 heard.wav) <(tail -c 458640 node_modules/vsnd/examples/hello.wav)
npx vsnd list --emulate --json | node -e "JSON.parse(require('fs').readFileSync(0))"

echo '- a global installation: the command, its man page, its pages, its services'
npm install --silent --no-audit --no-fund --offline --cache "$work/cache" --global --prefix "$work/global" ./vsnd-*.tgz
PATH=$work/global/bin:$PATH MANPATH=$work/global/share/man LC_ALL=C.UTF-8 bash -euo pipefail -c '
  cd / && [ "$(command -v vsnd)" = "$1/bin/vsnd" ] && vsnd -V >/dev/null
  man vsnd | grep "User Commands" >/dev/null
  vsnd help guest-setup.md | grep udev >/dev/null
  vsnd play --emulate --fast --sink null >/dev/null
  cd "$1/lib/node_modules/vsnd/systemd"
  export XDG_RUNTIME_DIR=$1
  systemd-analyze verify --man=no ./vsnd-backend.service
  systemd-analyze verify --man=no --user ./vsnd-bridge.service ./vsnd-serve.socket ./vsnd-serve.service
' bash "$work/global" || fail 'the global installation does not do'

echo '- a part under the LGPL that is replaced: the one in its place is used'
for part in codec-parser mpg123-decoder; do
  place=node_modules/vsnd/node_modules/$part
  cp -r "$place" theirs
  rm -r "$place"
  mv theirs "$place"
  sed -i "1i console.error('my own $part');" "$place/index.js"
done
for recording in "$root"/test/audio/fixtures/{cbr.mp3,noise16.flac}; do
  npx vsnd play --emulate --fast --sink null "$recording" >/dev/null 2>>replaced
done
for part in codec-parser mpg123-decoder; do grep -qx "my own $part" replaced || fail "the replaced $part was not used"; done

echo '- an import'
cat >import.mjs <<'JS'
import { openCard } from 'vsnd';
import { startTestGuest } from 'vsnd/testing';
const guest = await startTestGuest();
const card = await openCard({ hypervisor: guest.hypervisor });
const out = card.createPlaybackStream({ rate: 48_000, channels: 1, format: 's16_le' });
out.end(Buffer.alloc(9600, 1));
await guest.clock.advance(5000);
if (!out.writableFinished || guest.device.heard().length !== 9600) throw new Error('it did not play');
await card.close();
await guest.close();
JS
node import.mjs

echo '- the examples, where they are installed'
for example in play-tone two-zones speaker; do VSND_EMULATE=1 node "node_modules/vsnd/examples/$example.js"; done
node --test node_modules/vsnd/examples/own-tests/play-list.test.js >own-tests.log || fail "$(cat own-tests.log)"

echo '- an import loads no WebAssembly'
cat >no-wasm.mjs <<'JS'
Object.defineProperty(globalThis, 'WebAssembly', { get: () => { throw new Error('WebAssembly was asked for'); } });
for (const name of ['vsnd', 'vsnd/audio', 'vsnd/speaker', 'vsnd/testing']) await import(name);
JS
node no-wasm.mjs

echo "- in place of npm speaker: by import, by require, and by what its types say"
cat >speaker.mjs <<'JS'
import Speaker from 'vsnd/speaker';
const speaker = new Speaker();
speaker.on('flush', () => console.log('played'));
process.stdin.pipe(speaker);
JS
sed "s/^import Speaker from \(.*\);/const Speaker = require(\1);/" speaker.mjs >speaker.cjs
for program in speaker.mjs speaker.cjs; do
  head -c 35280 /dev/zero | VSND_EMULATE=1 node "$program" 2>stderr | grep -qx played || fail "$program: $(cat stderr)"
done
cat >types.mts <<'TS'
import Speaker from 'vsnd/speaker';
const options: Speaker.Options = { channels: 2, bitDepth: 16, sampleRate: 44100, highWaterMark: 0 };
const format: Speaker.Format = { float: false, signed: true, bitDepth: 16 };
const speaker: Speaker = new Speaker(options);
export const code: number | null = speaker.getFormat(format);
process.stdin.pipe(speaker).close(false);
TS
sed "s/^import Speaker from \(.*\);/import Speaker = require(\1);/; s/^export //" types.mts >types.cts
"$root/node_modules/.bin/tsc" --noEmit --strict --module nodenext --target es2023 --types node \
  --typeRoots "$root/node_modules/@types" types.mts types.cts

echo '- without a sound device the speaker is a clear message'
npm install --silent --no-audit --no-fund speaker@0.5.5
if ALSA_CONFIG_PATH=/dev/null npx vsnd play --emulate --sink speaker 2>stderr; then fail 'it should have failed'; fi
grep -q '^vsnd: the speaker cannot be opened' stderr || fail "it said: $(cat stderr)"

echo '- with one, what it hears is what was in the file, bit for bit'
cat >alsa.conf <<ALSA
</usr/share/alsa/alsa.conf>
pcm.!default { type file slave.pcm null file "$work/heard.raw" format raw }
ALSA
ALSA_CONFIG_PATH=$work/alsa.conf npx vsnd play --emulate --sink speaker
cmp heard.raw <(tail -c 458640 node_modules/vsnd/examples/hello.wav)
rm heard.raw
ALSA_CONFIG_PATH=$work/alsa.conf npx vsnd play --emulate >stdout
grep -q 'sink null' stdout || fail "without a terminal nothing is to be heard; it said: $(cat stdout)"
