# How scripts report: a line a step while all goes well, its output when not. Sourced, not run.

step_log=$(mktemp)
ticker=
trap 'stop_ticker; rm -f "$step_log"' EXIT

# step TITLE COMMAND… : runs the command with its output in a file. If it fails, prints the end of
# that output and leaves the script with the command's exit code.
step() {
  local title=$1 start=$SECONDS code
  shift
  if [[ -t 1 ]]; then tick "$title" & ticker=$!; else echo "  $title …"; fi
  # Not `|| code=$?`: that would switch off -e inside the command, too.
  set +e
  (set -e; "$@") >"$step_log" 2>&1 </dev/null
  code=$?
  set -e
  stop_ticker
  if [[ $code -ne 0 ]]; then
    tail -n 60 "$step_log" >&2
    printf '\n✗ %s: exit code %s; the end of its output is above.\n' "$title" "$code" >&2
    exit "$code"
  fi
  printf '✓ %s (%s s)\n' "$title" $((SECONDS - start))
}

# For people at a terminal: how long the step has run, and the last line of its output.
tick() {
  local title=$1 start=$SECONDS last
  trap - EXIT
  while true; do
    last=$(tail -c 300 "$step_log" | tr -d '\r' | tail -n 1 | cut -c 1-40)
    printf '\r\033[K… %s (%s s) %s' "$title" $((SECONDS - start)) "$last"
    sleep 1
  done
}

stop_ticker() {
  [[ -n $ticker ]] || return 0
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  ticker=
  printf '\r\033[K'
}
