#!/usr/bin/env bash
# The full figures of what CI runs in short: simulated histories (tests/simulation), then on a
# cluster of three nodes with every topic on all of them: a crash at each point of the protocol,
# producers killed while they list, and the chaos tests, with every role and the brokers killed,
# stopped and cut off, again and again. The oracle of tests/e2e/chaos.py is at the end of each.
#
#   ops/soak.sh [SCALE]    SCALE times what CI runs (default 50: 10,000 histories, 240 crashes at
#                          failpoints, 10^6 keys listed under 20 kills -9, 100,000 keys in the
#                          largest job, 600 kills -9 of workers and collector, 100 of a broker,
#                          300 SIGTERMs, 10^6 keys through a model that does nothing)
#
# Needs a build in build/ (ops/test.sh makes one). Writes a line for each figure, with the command
# that measures it again, to bench/results/soak.md, and all that was said to build/soak.log. Goes
# through all of it, and fails when any of it does.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
case "${1-}" in
  -h | --help) sed -n "2,15s/^# \{0,1\}//p" "${BASH_SOURCE[0]}" && exit ;;
esac
if [[ ! -x build/trawl ]]; then
  echo "ops/soak.sh: there is no build/trawl: run ops/test.sh" >&2
  exit 2
fi
scale=${1-50}
log=build/soak.log
report=bench/results/soak.md
failed=0
: >"$log"
mkdir -p bench/results

# times COUNT : scaled, at least 1.
times() { awk -v scale="$scale" -v n="$1" 'BEGIN {n = int(n * scale + 0.5); print n < 1 ? 1 : n}'; }

# figure WHAT PATTERN COMMAND… : its last output that matches is the figure; none where "each key
# once" is all there is to say.
figure() {
  local what=$1 pattern=$2 found="each key once" began=$SECONDS from
  shift 2
  from=$(wc -l <"$log")
  echo "\$ $*" >>"$log"
  if ! "$@" >>"$log" 2>&1; then
    failed=1
    found="**FAILED**"
  elif [[ -n $pattern ]] &&
    ! found=$(tail -n "+$((from + 2))" "$log" | grep -oE "$pattern" | tail -n 1); then
    failed=1
    found="**no figure**"
  fi
  echo "| $what | $found | $((SECONDS - began)) s | \`$*\` |" | tee -a "$report"
}

cat >"$report" <<HEADER
# Soak

\`ops/soak.sh $scale\`, $(date -u +%Y-%m-%d), $(nproc) cores, $(git rev-parse --short HEAD).

| what | figure | took | command |
|---|---|---|---|
HEADER

figure "simulated histories" "[0-9]+ seeds.*" \
  build/tests/simulation/trawl_simulate --seeds "$(times 200)" --first 1
cluster=(env TRAWL_TEST_NODES=3)
figure "crashes at failpoints" "[0-9]+ crashes, [0-9]+ keys each once" \
  "${cluster[@]}" python3 tests/e2e/failpoints_test.py --crashes "$(times 4.8)"
figure "kill -9 of a producer while it lists" "[0-9]+ keys, [0-9]+ kills, .*MiB" \
  "${cluster[@]}" TRAWL_E2E_KEYS="$(times 20000)" TRAWL_E2E_KILLS="$(times 0.4)" \
  python3 tests/e2e/producer_test.py ProducerTest.test_kill_9_while_it_lists
for test in $(awk '/^class/ {on = /ChaosTest/} on && /def test_/ {print $2}' FS='def |[(]' \
  tests/e2e/chaos_test.py); do
  what=${test#test_}
  figure "${what//_/ }" "" "${cluster[@]}" TRAWL_CHAOS_SCALE="$scale" \
    python3 tests/e2e/chaos_test.py "ChaosTest.$test"
done
figure "keys through Kafka into SQLite, a model that does nothing" "[0-9]+ keys at .*" \
  python3 bench/fleet/run_bench.py --keys "$(times 20000)" --check
figure "seeded bugs that the oracle sees" "Ran [0-9]+ tests" \
  "${cluster[@]}" python3 tests/e2e/chaos_test.py OracleTest
exit "$failed"
