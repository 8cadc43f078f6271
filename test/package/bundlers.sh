#!/usr/bin/env bash
# Bundles a program that plays and one that decodes and resamples, by esbuild, rollup and webpack, with vsnd outside and inside,
# and runs them; then runs them by Bun and Deno. docs/bundlers.md says what to expect. All tools come from npm.
#
#   test/package/bundlers.sh [--built]   --built: what is packed is there already, and not built first
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
fixtures=$root/test/audio/fixtures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

case "${1-}" in
  '') scripts= ;;
  --built) scripts=--ignore-scripts ;;
  *) echo "bundlers.sh: unknown argument '$1'; usage: bundlers.sh [--built]" >&2; exit 1 ;;
esac
(cd "$root" && npm pack --silent $scripts --pack-destination "$work" >/dev/null)
npm init -y >/dev/null
npm pkg set type=module
npm install --silent --no-audit --no-fund ./vsnd-*.tgz esbuild@0.28 rollup@4 @rollup/plugin-node-resolve @rollup/plugin-commonjs \
  webpack@5 webpack-cli bun@1 deno@2
bin=$work/node_modules/.bin

cat >play.js <<'JS'
import { openCard } from 'vsnd';
try {
  const card = await openCard({ addon: process.env.PLAYER_ADDON });
  const out = card.createPlaybackStream({ rate: 48000, channels: 2, format: 's16_le' });
  out.end(Buffer.alloc(9600));
  await new Promise((resolve, reject) => out.on('finish', resolve).on('error', reject));
  await card.close();
  console.log('played');
} catch (error) {
  console.log(error.code, error.message);
}
JS
cat >decode.js <<'JS'
import { createFrameConverter, openAudio } from 'vsnd/audio';
let frames = 0;
for (const file of process.argv.slice(2)) {
  const source = await openAudio(file);
  const converter = await createFrameConverter(source, { format: 's16_le', rate: 44100, channels: 2 });
  for await (const piece of source.read()) frames += converter.convert(piece).length / 4;
  frames += converter.end().length / 4;
  converter.close();
  await source.close();
}
console.log('decoded', frames);
JS

cat >rollup.config.js <<'JS'
import commonjs from '@rollup/plugin-commonjs';
import { nodeResolve } from '@rollup/plugin-node-resolve';
const isInside = process.env.INSIDE === '1';
export default ['play', 'decode'].map((name) => ({
  input: `${name}.js`,
  output: { dir: process.env.OUT, banner: isInside ? process.env.banner : '' },
  external: isInside ? [] : /^vsnd(\/|$)/,
  plugins: [nodeResolve(), commonjs()],
}));
JS
cat >webpack.config.js <<'JS'
const isInside = process.env.INSIDE === '1';
export default ['play', 'decode'].map((name) => ({
  mode: 'production',
  target: 'node20',
  entry: { [name]: `./${name}.js` },
  experiments: { outputModule: true },
  externalsType: 'module',
  externals: isInside ? [] : [/^vsnd(\/|$)/],
  output: { path: process.env.OUT, filename: '[name].js', chunkFilename: `${name}-[id].js`, module: true },
}));
JS

# What is CommonJS in it, libsamplerate's package, calls require() and asks for __dirname.
export banner='import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url), __dirname = import.meta.dirname;'

bundle() { # BUNDLER: into $OUT
  case $1 in
    esbuild)
      local options=(--external:vsnd)
      [ "$INSIDE" = 0 ] || options=("--banner:js=$banner")
      "$bin/esbuild" play.js decode.js --bundle --platform=node --format=esm --log-level=warning --outdir="$OUT" "${options[@]}" ;;
    rollup) "$bin/rollup" -c --silent ;;
    webpack) "$bin/webpack" -c webpack.config.js >webpack.log || { cat webpack.log; return 1; } ;;
  esac
}

failures=0
expect() { # WHAT PATTERN COMMAND...
  local what=$1 pattern=$2 said
  shift 2
  export CI=1
  said=$("$@" 2>&1 | grep -v -e VSND_EMULATED -e trace-warnings) || true
  if grep -qE "$pattern" <<<"$said"; then echo "- $what: $(head -n 1 <<<"$said" | cut -c 1-150)"; return; fi
  failures=$((failures + 1))
  echo "bundlers.sh: $what: it said '$(head -c 500 <<<"$said")', which is not '$pattern'" >&2
}

decoded='^decoded 402900$'
no_xen='^ERR_VSND_NO_XEN this machine is not a Xen guest'
without_thread="^ERR_VSND_NOT_SUPPORTED .*mark 'vsnd' as external"
recordings=("$fixtures"/{cbr.mp3,sweep.ogg,sweep.opus,noise16.flac})
all() { # WHAT EMULATED COMMAND... FOLDER: EMULATED is what the program says on an emulated machine
  local what=$1 emulated=$2
  shift 2
  local folder=${*: -1} program=("${@:1:$#-1}")
  expect "$what decodes" "$decoded" "${program[@]}" "$folder/decode.js" "${recordings[@]}"
  expect "$what, VSND_EMULATE=1" "$emulated" env VSND_EMULATE=1 "${program[@]}" "$folder/play.js"
  [ -e /dev/xen/xenbus ] || expect "$what, without Xen" "$no_xen" "${program[@]}" "$folder/play.js"
}

# With a file in the place of Xen's device, which nothing else sees: as far as the addon gets, once it is loaded.
as_on_xen() {
  unshare --mount bash -c 'mkdir "$0" && cp -a /dev/null /dev/urandom "$0" && mkdir "$0/xen" && : >"$0/xen/xenbus" &&
    mount --bind "$0" /dev && "$@"' "$(mktemp -u -p "$work")" "$@"
}
addon=$work/node_modules/vsnd/prebuilds/linux-$(node -p process.arch)/vsnd.node
opened='^ERR_VSND_HYPERVISOR cannot poll /dev/xen/xenbus'

for bundler in esbuild rollup webpack; do
  export INSIDE OUT
  INSIDE=0 OUT=$work/$bundler-outside
  bundle "$bundler"
  all "$bundler, vsnd outside" '^played$' node "$OUT"
  INSIDE=1 OUT=$work/$bundler-inside
  bundle "$bundler"
  emulated=$without_thread
  # webpack has the places of the machine that it ran on in the bundle: there, and only there, the thread's file is found.
  if [ "$bundler" = webpack ]; then emulated="^played$|$emulated"; fi
  all "$bundler, vsnd inside" "$emulated" node "$OUT"
  [ "$(id -u)" != 0 ] || expect "$bundler, vsnd inside, the addon named" "$opened" as_on_xen env PLAYER_ADDON="$addon" node "$OUT/play.js"
done
all Bun '^played$' "$bin/bun" run .
all Deno '^played$' "$bin/deno" run -A .

# The addon itself: whether this runtime loads it.
cat >addon.cjs <<'JS'
try {
  console.log('pages of', require(process.argv[2]).pageSize);
} catch (error) {
  console.log(String(error.message).split('\n')[0]);
}
JS
expect 'Bun, the addon' '^pages of 4096$' "$bin/bun" run addon.cjs "$addon"
expect 'Deno, the addon' 'undefined symbol: uv_' "$bin/deno" run -A addon.cjs "$addon"
exit "$failures"
