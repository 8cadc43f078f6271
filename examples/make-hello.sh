#!/bin/sh
# Makes hello.wav: a voice over a few plucked chords. Needs espeak-ng and sox.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One chord from four strings, struck one after the other.
chord() {
  sox -R -r 44100 -n "$work/$1.wav" \
    synth 2.6 pluck "$2" pluck "$3" pluck "$4" pluck "$5" \
    delay 0 .07 .14 .21 remix 1v.35,2v.35,3v.35,4v.35 \
    fade 0.005 2.6 1.2
}

chord c C3 G3 E4 C5
chord a A2 E3 C4 A4
chord f F2 C3 A3 F4
chord g G2 D3 B3 G4
chord end C3 E3 G3 C4

sox -R -m \
  "$work/c.wav" "|sox $work/a.wav -p pad 0.9" "|sox $work/f.wav -p pad 1.8" \
  "|sox $work/g.wav -p pad 2.7" "|sox $work/end.wav -p pad 3.4" \
  "$work/music.wav" lowpass 5000 reverb 30 norm -9 trim 0 5.2

espeak-ng -v en-gb -s 160 -p 40 -w "$work/speech.wav" \
  'Hello, from inside a Xen guest. This is its virtual sound card.'
sox -R "$work/speech.wav" -r 44100 -c 1 "$work/voice.wav" silence 1 0.01 0.1% norm -4 pad 0.35

sox -R -m -v 1 "$work/music.wav" -v 1 "$work/voice.wav" -b 16 "$here/hello.wav" \
  trim 0 5.2 fade 0.02 5.2 0.6 norm -2
