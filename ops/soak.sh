#!/usr/bin/env bash
# The delivery protocol's proof at full size, of which CI runs a small one. On a cluster of three
# nodes with every topic on all of them; the oracle of tests/e2e/chaos.py is at the end of each.
#
#   ops/soak.sh [PIECE...]   all of it, two hours on two cores, or these pieces of it:
#
#     simulation  10,000 simulated histories (tests/simulation)
#     failpoints  240 crashes at the protocol's 12 failpoints
#     kills       100,000 keys, 4 workers, 50 kills -9 of workers and collector
#     brokers     10 kills -9 of a broker
#     sigterms    100 SIGTERMs
#     producer    10^6 keys of a manifest enqueued under 20 kills -9
#     listing     10,000 keys of an S3 server listed in several places under 20 kills -9
#     stops       10 workers that stop past their time-outs
#     rebalance   workers that join, leave, die on the way or cannot commit
#     ends        20 ends of transactions that arrive late
#     poison      10,000 malformed messages among 10,000 good ones
#     down        all brokers down for five minutes: memory and CPU of those who wait
#     silent      a node that nobody reaches but its fellow nodes, for ten minutes
#     hang        a node that hangs while the others go on without it
#     clocks      wall clocks an hour apart, that jump
#     resets      connections of which each breaks once in 100 s
#     far         brokers at 200 ms +- 100 ms: at least half of the rate
#     hole        one of three nodes answers nobody for ten minutes: at least a quarter of the rate
#     late        ends of transactions that arrive in the midst of the next one
#     unrotated   the same without new producers, in which the oracle has to see the damage
#     straggler   a worker whose store is 20 times as far away
#     failures    a job that fails as a whole: lines of log, and secrets
#     spot        a worker whose instance is taken back
#     names       a store's name that is not resolved for a minute, and a store that moves
#     rest        what the chaos tests break and no piece of these does, once
#     oracle      eight seeded bugs, each of which the oracle has to see
#     throughput  10^6 keys through a model that does nothing; wants a quiet machine
#
# Needs a build in build/ (ops/test.sh makes one). A piece writes its line, with the command that
# measures it again, to bench/results/soak.md, where the others' stay, and all that was said to
# build/soak/PIECE.log. Goes through all of it, and fails when any of it does.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
PIECES=(simulation failpoints kills brokers sigterms producer listing stops rebalance ends poison
  down silent hang clocks resets far hole late unrotated straggler failures spot
  names rest oracle throughput)
report=bench/results/soak.md
said=build/soak

die() { echo "ops/soak.sh: $1" >&2 && exit 2; }

# command_of PIECE : sets `command`, and `what` and `pattern`: its last output that matches is the
# figure.
command_of() {
  local nodes=TRAWL_TEST_NODES=3 chaos=tests/e2e/chaos_test.py rebalance=tests/e2e/rebalance_test.py
  local soak=tests/e2e/soak_test.py
  pattern="[0-9]+ keys each once, .*"
  case $1 in
    simulation)
      what="simulated histories" pattern="[0-9]+ seeds.*"
      command=(build/tests/simulation/trawl_simulate --seeds 10000 --first 1)
      ;;
    failpoints)
      what="crashes at failpoints" pattern="[0-9]+ crashes, [0-9]+ keys each once"
      command=(env $nodes python3 tests/e2e/failpoints_test.py --crashes 240)
      ;;
    kills)
      what="kill -9 of workers and collector"
      command=(env $nodes TRAWL_CHAOS_KEYS=100000 TRAWL_CHAOS_FAULTS=50 python3 "$chaos"
        ChaosTest.test_kill_9_of_workers_and_collector)
      ;;
    brokers)
      what="kill -9 of a broker"
      command=(env $nodes TRAWL_CHAOS_KEYS=150000 TRAWL_CHAOS_FAULTS=10 python3 "$chaos"
        ChaosTest.test_kill_9_of_the_broker)
      ;;
    sigterms)
      what="SIGTERM" pattern="[0-9]+ SIGTERMs .*"
      command=(env $nodes TRAWL_CHAOS_KEYS=300000 TRAWL_CHAOS_FAULTS=100 python3 "$chaos"
        ChaosTest.test_sigterm_ends_with_0_within_25_seconds)
      ;;
    producer)
      what="kill -9 of a producer while it reads a manifest"
      pattern="[0-9]+ keys, [0-9]+ kills, .*MiB"
      command=(env $nodes TRAWL_E2E_KEYS=1000000 TRAWL_E2E_KILLS=20 python3
        tests/e2e/producer_test.py ProducerTest.test_kill_9_while_it_reads_a_manifest)
      ;;
    listing)
      what="kill -9 of a producer while it lists an S3 server"
      pattern="[0-9]+ keys, [0-9]+ kills, .*MiB"
      command=(env $nodes TRAWL_E2E_S3_KEYS=10000 TRAWL_E2E_KILLS=20 python3
        tests/e2e/producer_test.py
        ProducerTest.test_kill_9_while_it_lists_a_bucket_in_several_places)
      ;;
    stops)
      what="SIGSTOP past the time-outs"
      command=(env $nodes TRAWL_CHAOS_KEYS=300000 TRAWL_CHAOS_FAULTS=10 python3 "$rebalance"
        RebalanceTest.test_a_worker_that_stops_past_its_time_outs)
      ;;
    rebalance)
      what="partitions that change hands" pattern="Ran [0-9]+ tests"
      command=(env $nodes python3 "$rebalance")
      ;;
    ends)
      what="transactions whose end arrives late"
      command=(env $nodes TRAWL_CHAOS_KEYS=20000 TRAWL_CHAOS_FAULTS=20 python3 "$chaos"
        ChaosTest.test_ends_of_transactions_that_arrive_late_on_the_old_connection)
      ;;
    poison)
      what="malformed messages" pattern="[0-9]+ malformed messages, .*"
      command=(env $nodes TRAWL_POISON=10000 python3 tests/e2e/poison_test.py
        PoisonTest.test_malformed_messages_are_one_failure_each)
      ;;
    down)
      what="all brokers down" pattern="[0-9]+ s without a broker: .*"
      command=(env $nodes TRAWL_CHAOS_KEYS=20000 TRAWL_CHAOS_OUTAGE_S=300 python3 "$chaos"
        ChaosTest.test_brokers_that_are_all_down_are_waited_for_at_next_to_no_cost)
      ;;
    silent)
      what="a node that is silent for ten minutes"
      command=(env $nodes TRAWL_CHAOS_KEYS=20000 TRAWL_CHAOS_OUTAGE_S=600 python3 "$chaos"
        ChaosTest.test_a_node_that_nobody_reaches_but_its_fellow_nodes)
      ;;
    hang)
      what="a node that hangs"
      command=(env $nodes TRAWL_CHAOS_KEYS=20000 python3 "$chaos"
        ChaosTest.test_a_broker_that_hangs_and_whose_kernel_goes_on)
      ;;
    clocks)
      what="wall clocks that are wrong"
      command=(env $nodes python3 tests/e2e/clock_test.py)
      ;;
    resets)
      what="connections that break all the time"
      command=(env $nodes python3 "$soak" NetworkTest.test_connections_that_break_all_the_time)
      ;;
    far)
      what="brokers at 200 ms ± 100 ms"
      command=(env $nodes TRAWL_CHAOS_KEYS=50000 python3 "$soak"
        NetworkTest.test_brokers_that_are_far_away)
      ;;
    hole)
      what="a node that answers nobody for ten minutes"
      command=(env $nodes TRAWL_CHAOS_KEYS=100000 TRAWL_CHAOS_OUTAGE_S=600 python3 "$soak"
        NetworkTest.test_a_node_that_answers_nobody_for_minutes)
      ;;
    late)
      what="ends of transactions that meet the next one"
      command=(env $nodes python3 "$soak" LateEndTest.test_it_ends_nothing_but_its_own)
      ;;
    unrotated)
      what="the same without new producers" pattern="[0-9]+ meetings: .*"
      command=(env $nodes python3 "$soak"
        LateEndTest.test_without_a_new_producer_it_ends_the_next)
      ;;
    straggler)
      what="a worker whose store is 20 times as far away"
      command=(env $nodes python3 "$soak"
        SlownessTest.test_a_worker_whose_store_is_twenty_times_as_far_away)
      ;;
    failures)
      what="a job that fails as a whole" pattern="[0-9]+ failures a minute, .*"
      command=(env $nodes python3 "$soak"
        FailuresTest.test_a_job_that_fails_as_a_whole_is_quiet_and_keeps_its_secrets)
      ;;
    spot)
      what="an instance that is taken back"
      command=(env $nodes python3 tests/e2e/spot_test.py
        SpotTest.test_a_notice_drains_a_worker_and_another_one_does_the_rest)
      ;;
    names)
      what="names that are not resolved for a minute, and a store that moves"
      pattern="Ran [0-9]+ tests"
      command=(env TRAWL_NAMES_TROUBLE_S=60 python3 tests/e2e/names_test.py)
      ;;
    rest)
      what="everything else that breaks" pattern="Ran [0-9]+ tests"
      command=(env $nodes python3 "$chaos" ChaosTest.test_kill_9_of_the_producer
        ChaosTest.test_a_network_that_is_slow_then_resets_then_is_silent
        ChaosTest.test_a_log_that_is_not_the_one_is_refused_and_nothing_is_lost
        ChaosTest.test_a_full_disk_and_a_locked_database_are_waited_out
        ChaosTest.test_a_second_collector_is_fenced_and_says_so)
      ;;
    oracle)
      what="seeded bugs that the oracle sees" pattern="Ran [0-9]+ tests"
      command=(env $nodes python3 "$chaos" OracleTest)
      ;;
    throughput)
      what="keys through Kafka into SQLite, a model that does nothing" pattern="[0-9]+ keys at .*"
      command=(python3 bench/fleet/run_bench.py --keys 1000000 --check)
      ;;
    *) die "no such piece: $1 (see --help)" ;;
  esac
}

# measure PIECE
measure() {
  local began=$SECONDS figure line
  echo "$1: ${command[*]}"
  if ! "${command[@]}" >"$said/$1.log" 2>&1; then
    failed=1
    figure="**FAILED**"
  elif ! figure=$(grep -oE "$pattern" "$said/$1.log" | tail -n 1); then
    failed=1
    figure="**no figure**"
  fi
  line="| $what | $figure | $((SECONDS - began)) s | $(git rev-parse --short HEAD)"
  echo "$line | \`${command[*]}\` |" | tee "$said/$1.line"
}

# The report has the lines of earlier runs, wherever those were.
recall_lines() {
  local piece
  for piece in "${PIECES[@]}"; do
    command_of "$piece"
    grep -F "| \`${command[*]}\` |" "$report" >"$said/$piece.line" || rm "$said/$piece.line"
  done
}

write_report() {
  local piece
  {
    echo "# Soak"
    echo
    echo "\`ops/soak.sh\`, $(date -u +%Y-%m-%d), $(nproc) cores,$(sed -n \
      's/^model name[^:]*://p' /proc/cpuinfo | head -n 1); the commit is that of the executables."
    echo
    echo "| what | figure | took | commit | command |"
    echo "|---|---|---|---|---|"
    for piece in "${PIECES[@]}"; do
      if [[ -f $said/$piece.line ]]; then cat "$said/$piece.line"; fi
    done
  } >"$report"
}

case "${1-}" in
  -h | --help) sed -n "2,37s/^# \{0,1\}//p" "${BASH_SOURCE[0]}" && exit ;;
esac
wanted=("$@")
[[ ${#wanted[@]} -gt 0 ]] || wanted=("${PIECES[@]}")
for piece in "${wanted[@]}"; do command_of "$piece"; done
[[ -x build/trawl ]] || die "there is no build/trawl: run ops/test.sh"
mkdir -p "$said" bench/results
recall_lines
failed=0
for piece in "${wanted[@]}"; do
  command_of "$piece"
  measure "$piece"
  write_report
done
exit "$failed"
