#!/usr/bin/env bash
# The full figures of what CI runs in short: simulated histories (tests/simulation), then the chaos
# tests, with every role and the broker killed, stopped and cut off, again and again, and the oracle
# of tests/e2e/chaos.py at the end of each.
#
#   ops/soak.sh [SCALE]    SCALE times what CI runs (default 50: 10,000 histories, 100,000 keys in
#                          the largest job, 600 kills -9 of workers and collector, 100 of the
#                          broker, 300 SIGTERMs)
#
# Needs a build in build/ (ops/test.sh makes one). Writes what each did and how long it took to
# bench/results/soak-<date>.txt. Goes through all of it, and fails when any of it does.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
case "${1-}" in
  -h | --help) sed -n "2,11s/^# \{0,1\}//p" "${BASH_SOURCE[0]}" && exit ;;
esac
if [[ ! -x build/trawl ]]; then
  echo "ops/soak.sh: there is no build/trawl: run ops/test.sh" >&2
  exit 2
fi
export TRAWL_CHAOS_SCALE=${1-50}
export TRAWL_EXECUTABLE=$root/build/trawl
export TRAWL_MUTANT=$root/build/tests/e2e/trawl_mutant
mkdir -p bench/results
report=bench/results/soak-$(date -u +%Y-%m-%d).txt
histories=$(awk -v scale="$TRAWL_CHAOS_SCALE" 'BEGIN {printf "%d", 200 * scale + 0.5}')
failed=0

# What it runs, then what it says.
run() {
  echo "\$ $*"
  "$@" 2>&1 || failed=1
}

{
  echo "scale $TRAWL_CHAOS_SCALE, $(nproc) cores"
  run build/tests/simulation/trawl_simulate --seeds "$histories" --first 1
  run python3 -W ignore::ResourceWarning tests/e2e/chaos_test.py
  exit "$failed"
} | tee "$report"
