#!/usr/bin/env bash
# Installs the packed package in an empty folder, as a user would, and uses it there: by its command and by import,
# then with npm `speaker`, whose sound ALSA writes to a file.
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

(cd "$root" && npm pack --silent --pack-destination "$work" >/dev/null)
tar tzf vsnd-*.tgz >contents
for addon in linux-x64 linux-arm64; do
  grep -qx "package/prebuilds/$addon/vsnd.node" contents || fail "the tarball has no addon for $addon"
done
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts ./vsnd-*.tgz
[ -z "$(ls node_modules | grep -vx vsnd)" ] || fail "vsnd brings other packages: $(ls node_modules | tr '\n' ' ')"
node -e "const { scripts = {} } = require('vsnd/package.json');
  for (const name of ['preinstall', 'install', 'postinstall'])
    if (scripts[name]) throw new Error('vsnd has an install script: ' + name);"

echo '- the command'
npx vsnd play --emulate --fast --sink wav:heard.wav node_modules/vsnd/examples/hello.wav
cmp <(tail -c 917280 heard.wav) <(tail -c 917280 node_modules/vsnd/examples/hello.wav)
npx vsnd list --emulate --json | node -e "JSON.parse(require('fs').readFileSync(0))"

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
cmp heard.raw <(tail -c 917280 node_modules/vsnd/examples/hello.wav)
rm heard.raw
ALSA_CONFIG_PATH=$work/alsa.conf npx vsnd play --emulate >stdout
grep -q 'speaker' stdout || fail 'an installed speaker was not chosen'
