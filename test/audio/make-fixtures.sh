#!/bin/sh
# Makes test/audio/fixtures anew out of recordings.js. Debian 12: flac 1.4.2, lame 3.100, vorbis-tools 1.4.2, opus-tools 0.2,
# sox 14.4.2. Lossy encoders differ from version to version: the tests ask for likeness, not for these bytes.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p fixtures

node --input-type=module -e '
  import { writeFileSync } from "node:fs";
  import { SIGNALS, wavOf } from "./recordings.js";
  for (const [name, signal] of Object.entries(SIGNALS)) writeFileSync(`${process.argv[1]}/${name}.wav`, wavOf(signal));
' "$work"

# NAME OUT [OPTIONS]
flac_of() {
  name=$1 out=$2
  shift 2
  flac --silent --force --no-padding "$@" -o "fixtures/$out" "$work/$name.wav"
}
flac_of noise8 noise8.flac --blocksize=576
flac_of noise16 noise16.flac --blocksize=1152 --no-seektable
flac_of noise20 noise20.flac
flac_of noise24 noise24.flac --blocksize=1024
flac_of noise16 noise16.oga --ogg --blocksize=1152 --serial-number=7

lame --quiet -b 64 --resample 44.1 "$work/sweep44.wav" fixtures/cbr.mp3
lame --quiet -V 6 --resample 44.1 --add-id3v2 --tt 'A sweep' "$work/sweep44.wav" fixtures/vbr.mp3
lame --quiet -b 32 -m m -t --resample 22.05 "$work/sweep22.wav" fixtures/untagged.mp3
sox "$work/sweep44.wav" -C 64 fixtures/layer2.mp2
oggenc --quiet -q 1 --serial 11 "$work/sweep44.wav" -o fixtures/sweep.ogg
oggenc --quiet -q 1 --serial 12 "$work/sweep22.wav" -o fixtures/mono.ogg
oggenc --quiet -q 0 --serial 13 "$work/tones.wav" -o fixtures/tones.ogg
opusenc --quiet --bitrate 64 --serial 21 "$work/sweep48.wav" fixtures/sweep.opus
opusenc --quiet --bitrate 160 --serial 22 "$work/tones.wav" fixtures/tones.opus
