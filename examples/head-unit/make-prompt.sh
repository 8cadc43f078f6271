#!/bin/sh
# Makes prompt.flac: two tones, then a voice. Needs espeak-ng and sox.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sox -R -r 48000 -n "$work/tones.wav" \
  synth 0.3 sine E5 sine B5 delay 0 .12 remix 1v.35,2v.35 fade h 0.005 0.3 0.15
espeak-ng -v en-gb -s 165 -p 40 -w "$work/speech.wav" 'In two hundred metres, turn right.'
sox -R "$work/speech.wav" -r 48000 "$work/voice.wav" \
  silence 1 0.01 0.1% reverse silence 1 0.01 0.1% reverse norm -3
sox -R "$work/tones.wav" "$work/voice.wav" -b 16 -C 8 "$here/prompt.flac"
