# What a run is made of: steps, timed and counted. Whoever sources this ends with 'N passed, N failed', however that end comes,
# and sets `complete` when all its steps have been taken. .ci/self-test says what must not be green.
set -uo pipefail

limit=300 # seconds that a step may take: `limit=900 check ...` for one that needs more. What hangs is a failure with a name
grace=10  # seconds that it has to end once it is told to

work=$(mktemp -d) # a folder of the run's own
passed=0
failed=0
skipped=0
times=() # a line for each step
lanes=() # a folder for each lane that goes on beside this one
complete=
fail() { failed=$((failed + 1)); }
trap fail ERR # of what is no step: a name that is misspelt, say
trap 'conclude; status=$?; rm -rf "$work"; exit "$status"' EXIT

# Counts the step before: its exit status, and its tests that passed, failed and were skipped. A step that failed has at least one
# failure, and so has one in which no test ran.
count() {
  local failures=$3
  if [ "$failures" -eq 0 ] && { [ "$1" -ne 0 ] || [ "$2" -eq 0 ]; }; then failures=1; fi
  [ "$failures" -eq 0 ] || times[-1]+=", $failures FAILED"
  add "$2" "$failures" "$4"
}

add() {
  passed=$((passed + $1))
  failed=$((failed + $2))
  skipped=$((skipped + $3))
}

# Runs a command under a name; how long it took is said, and noted. Returns its exit status: 124 where it took too long.
step() {
  local name=$1 began=$SECONDS status=0 job watch
  shift
  echo "== $name"
  "$@" &
  job=$!
  { sleep "$limit" && touch "$work/late" && end_all "$job"; } >"$work/watch.log" 2>&1 &
  watch=$!
  wait "$job" || status=$?
  if [ -e "$work/late" ]; then
    wait "$watch" # what was started may be more than the step
    rm "$work/late"
    status=124
    echo "FAILED: $name: not done after $limit s"
  else
    kill $(tree_of "$watch")
    [ "$status" -eq 0 ] || echo "FAILED: $name: exit status $status"
  fi
  echo "== $name: $((SECONDS - began)) s"
  times+=("$(printf '%5d s  %s' $((SECONDS - began)) "$name")")
  return "$status"
}

# Ends a process with all that it has started, also in groups and sessions of their own.
end_all() {
  local all
  all=$(tree_of "$1")
  kill $all
  sleep "$grace"
  kill -KILL $(tree_of $all) # they may have started more
}

# Processes, and all that they have started.
tree_of() {
  local process
  for process; do
    echo "$process"
    tree_of $(pgrep -P "$process")
  done
}

# A step that is one test: NAME, then the command.
check() {
  if step "$@"; then count 0 1 0 0; else count 1 0 1 0; fi
}

# A step of vitest's: NAME, then a command that takes vitest's options after it.
tests() {
  local report=$work/report.json status=0
  rm -f "$report"
  step "$@" --reporter=default --reporter=json "--outputFile.json=$report" || status=$?
  count "$status" $(vitest_counts "$report")
}

# What a report of vitest's says: passed, failed and skipped tests. Nothing where there is none that can be read.
vitest_counts() {
  node -p '
    const r = JSON.parse(require("fs").readFileSync(process.argv[1]));
    [r.numPassedTests, r.numFailedTests, r.numPendingTests + r.numTodoTests].join(" ")' "$1" 2>&1 |
    grep -xE '[0-9]+ [0-9]+ [0-9]+' || echo 0 0 0
}

# A step that counts by itself, and ends with 'N passed, N failed', or with ', N skipped' behind that: NAME, then the command.
counted() {
  local log=$work/counted.log status=0
  step "$1" logged "$log" "${@:2}" || status=$?
  count "$status" $(line_counts "$log")
}

logged() { "${@:2}" 2>&1 | tee "$1"; }

line_counts() {
  tail -n 1 "$1" | sed -nE 's/failed$/&, 0 skipped/; s/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' |
    grep . || echo 0 0 0
}

# What nothing goes on without: a check after whose failure the run ends.
needed() {
  local before=$failed
  check "$@"
  [ "$failed" -eq "$before" ] || exit 1
}

# Begins a lane: a command, made of steps, that goes on beside this one. What it says is shown and counted by `wait_for_lanes`.
beside() {
  local lane=$work/lane-${#lanes[@]}
  mkdir "$lane"
  lanes+=("$lane")
  (
    trap - EXIT
    trap fail ERR
    work=$lane passed=0 failed=0 skipped=0 times=()
    "$@"
    printf '%s\n' "${times[@]}" >"$lane/times"
    echo "$passed $failed $skipped" >"$lane/counts"
  ) >"$lane/log" 2>&1 &
}

# One that was cut short has failed, and so has one without a step.
wait_for_lanes() {
  local lane counts line
  wait
  for lane in "${lanes[@]}"; do
    cat "$lane/log"
    if counts=$(grep -v '^0 0 ' "$lane/counts" 2>/dev/null); then
      add $counts
      while read -r line; do times+=("    beside: $line"); done <"$lane/times"
    else
      add 0 1 0
    fi
    rm -r "$lane"
  done
  lanes=()
}

# The last lines. A run that was cut short has failed, and so has one that ran nothing, or did not wait for its lanes. Returns
# whether all is well.
conclude() {
  if [ -n "$complete" ] && [ "$passed" -gt 0 ] && [ ${#lanes[@]} -eq 0 ]; then :; else
    [ "$failed" -gt 0 ] || failed=1
    kill $(tree_of $(jobs -p)) 2>/dev/null
  fi
  printf '\n'
  [ ${#times[@]} -eq 0 ] || printf '%s\n' "${times[@]}"
  printf '%5d s  in all\n\n' "$SECONDS"
  echo "$passed passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
  [ "$failed" -eq 0 ]
}
