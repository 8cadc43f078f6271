#!/bin/sh
# Prints the golden JSON that Xen's own headers give; with --check, compares it with the one committed.
#
#   test/golden/regenerate.sh > golden.json.new && mv golden.json.new test/golden/golden.json
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}

fail() {
  printf '%s\n' "regenerate.sh: $*" >&2
  exit 1
}

case "${1-}" in
  '' | --check) ;;
  *) fail "unknown argument '$1'; usage: regenerate.sh [--check]" ;;
esac

command -v "$cc" > /dev/null ||
  fail "no C compiler '$cc': install the package gcc (Debian: apt-get install gcc libc6-dev)"

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

for header in xen/io/sndif.h xen/io/xs_wire.h libxl.h; do
  printf '#include <%s>\n' stdint.h stddef.h "$header" > "$temp/probe.c"
  "$cc" -std=gnu11 -E "$temp/probe.c" > /dev/null 2> "$temp/log" || {
    cat "$temp/log" >&2
    fail "cannot include <$header>: install the package libxen-dev (Debian: apt-get install libxen-dev)"
  }
done

"$cc" -std=gnu11 -Wall -Wextra -Werror -o "$temp/golden" "$here/golden.c"
"$temp/golden" > "$temp/golden.json"

if [ "${1-}" = --check ]; then
  diff -u "$here/golden.json" "$temp/golden.json" ||
    fail 'golden.json is not what the installed headers give (- committed, + headers)'
  printf '%s\n' 'golden.json is what the installed headers give'
else
  cat "$temp/golden.json"
fi
