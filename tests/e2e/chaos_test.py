"""Everything around a job breaks, and each key still ends in exactly one outcome.

Real processes on a real broker behind a proxy: kill -9 of every role and of the broker, SIGSTOP
past the session and transaction time-outs, SIGTERM, connections that are slow, reset or silent,
and messages that are no work. The oracle is chaos.check_exactly_once. TRAWL_CHAOS_KEYS and
TRAWL_CHAOS_FAULTS make one test larger than CI has it, as ops/soak.sh does.
"""

import json
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time
import unittest

import chaos
import trawl_e2e as e2e
from chaos_case import OUTAGE_S, STUCK_S, ChaosCase, faults_of, keys_of

MAX_RSS_BYTES = 256 << 20


class ChaosTest(ChaosCase):
    def test_kill_9_of_workers_and_collector(self):
        keys, kills = self.begin_to_enqueue(keys_of(15_000)), faults_of(8)
        for _ in self.due_faults(keys, kills):
            # Dead or alive; whoever is dead is started again.
            self.fleet.signal(self.random.choice([*self.fleet.roles]), signal.SIGKILL)
        self.finish(keys, faults=kills)

    def test_kill_9_of_the_producer(self):
        keys = chaos.make_bucket(self.bucket, keys_of(3000))
        self.fleet.run_collector()
        self.fleet.run_workers(2, [e2e.SAMPLE, self.bucket])
        for _ in range(faults_of(6)):
            producer = subprocess.Popen(
                [e2e.TRAWL, "producer", self.bucket, "--model", e2e.MODEL, "--job", self.fleet.job],
                env=e2e.environment(self.fleet.environment),
                stdout=subprocess.DEVNULL,
                stderr=self.fleet.log,
            )
            time.sleep(self.random.uniform(0.1, 1.0))
            producer.kill()
            producer.wait()
        done = self.fleet.produce(self.bucket)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.finish(keys)

    def test_kill_9_of_the_broker(self):
        keys, kills = self.begin_to_enqueue(keys_of(12_000), attempts=10), faults_of(2)
        for _ in self.due_faults(keys, kills):
            self.broker.kill()
            self.broker.start()
        self.finish(keys, faults=kills)

    def test_sigterm_ends_with_0_within_25_seconds(self):
        """Later, a process ends itself, and with another code (drain-timeout-ms)."""
        keys, signals = self.begin_to_enqueue(keys_of(20_000)), faults_of(6)
        longest = 0.0
        for i in self.due_faults(keys, signals):
            name = sorted(self.fleet.roles)[i % len(self.fleet.roles)]
            code, seconds = self.fleet.terminate(name)
            self.assertEqual(code, 0, self.fleet.tail())
            longest = max(longest, seconds)
        self.finish(keys, faults=signals)
        print(f"{signals} SIGTERMs ({self.met} before the last row),", end=" ")
        print(f"each 0 within {longest:.1f} s", flush=True)

    def test_a_network_that_is_slow_then_resets_then_is_silent(self):
        keys = self.begin_to_enqueue(keys_of(10_000), attempts=10)
        self.addCleanup(setattr, self.broker.network, "delay_s", 0.0)
        self.broker.network.delay_s = 0.1
        time.sleep(4)
        self.broker.network.delay_s = 0.0
        for _ in range(faults_of(8)):
            time.sleep(self.random.uniform(0.1, 0.6))
            self.broker.network.reset()
        self.meet_at_work(keys, len(keys) // 10)
        self.broker.network.silence()
        time.sleep(1.5 * chaos.SESSION_TIMEOUT_MS / 1000)
        self.broker.network.speak()
        self.finish(keys)

    def test_a_node_that_nobody_reaches_but_its_fellow_nodes(self):
        # For them it is well: what it leads, nobody else takes over.
        keys = self.begin(keys_of(12_000))
        self.meet_at_work(keys, len(keys) // 4)
        self.addCleanup(self.broker.network.speak)
        self.broker.network.silence(1)
        time.sleep(OUTAGE_S)
        self.broker.network.speak()
        self.finish(keys, faults=1)
        self.assertEqual(self.fleet.exits, {}, "it goes on by itself")

    def test_a_broker_that_hangs_and_whose_kernel_goes_on(self):
        keys = self.begin(keys_of(12_000))
        self.meet_at_work(keys, len(keys) // 4)
        hangs = self.broker.nodes[0].process
        self.addCleanup(hangs.send_signal, signal.SIGCONT)
        hangs.send_signal(signal.SIGSTOP)
        if e2e.NODES > 2:  # its fellow nodes take over what it led
            self.wait_for_rows(len(keys))
        else:
            time.sleep(OUTAGE_S)
        hangs.send_signal(signal.SIGCONT)
        self.finish(keys, faults=1)
        self.assertEqual(self.fleet.exits, {}, "it goes on by itself")

    def test_brokers_that_are_all_down_are_waited_for_at_next_to_no_cost(self):
        keys = self.begin(keys_of(12_000))
        self.meet_at_work(keys, len(keys) // 4)
        self.broker.kill_all()
        e2e.wait_until(lambda: max(self.cpu_used(1).values()) < 0.1, "the end of what is in hand")
        spent = self.cpu_used(OUTAGE_S)
        self.broker.start()
        self.finish(keys, faults=1)
        self.assertEqual(self.fleet.exits, {}, "it goes on by itself")
        peaks = {name: e2e.peak_bytes(each) for name, each in self.fleet.processes.items()}
        print(f"{OUTAGE_S} s without a broker: {max(spent.values()):.2f} s of CPU,", end=" ")
        print(f"{max(peaks.values()) >> 20} MiB at most", flush=True)
        self.assertLess(max(spent.values()), 0.05 * OUTAGE_S, spent)
        self.assertLess(max(peaks.values()), MAX_RSS_BYTES, peaks)

    def cpu_used(self, seconds):
        """Of each of the fleet, in so many seconds from now."""
        before = {name: chaos.cpu_seconds(each) for name, each in self.fleet.processes.items()}
        time.sleep(seconds)
        return {
            name: chaos.cpu_seconds(each) - before[name]
            for name, each in self.fleet.processes.items()
        }

    def test_ends_of_transactions_that_arrive_late_on_the_old_connection(self):
        ends, held = faults_of(4), []
        network = self.broker.network

        def hold(api_key):
            if api_key == chaos.END_TRANSACTION and self.random.random() < 0.4:
                held.append(api_key)
                time.sleep(self.random.uniform(3, 5))

        network.on_request = hold
        self.addCleanup(setattr, network, "on_request", lambda api_key: None)
        keys = self.begin_to_enqueue(keys_of(6000))
        e2e.wait_until(
            lambda: len(held) >= ends or self.fleet.rows() == len(keys), "holds", 60 + 10 * ends
        )
        network.on_request = lambda api_key: None
        self.finish(keys, faults=len(held))

    def test_a_log_that_is_not_the_one_is_refused_and_nothing_is_lost(self):
        broker = chaos.ChaosBroker()  # of its own: its results topic goes
        self.addCleanup(broker.close)
        self.fleet.environment["TRAWL_BROKERS"] = broker.address
        self.fleet.broker = broker
        keys = self.begin(200, workers=1)
        self.finish(keys)
        self.fleet.stop()
        everything = "SELECT topic, partition, next_offset, log FROM offsets ORDER BY 1, 2"
        before = e2e.query(self.fleet.db, everything)
        # Another cluster.
        self.assert_refused("filled from another log", TRAWL_BROKERS=self.broker.address)
        # A gap: what comes next was deleted, as by retention, before it was collected.
        self.fleet.job = "more"
        self.assertEqual(self.fleet.produce(self.bucket).returncode, 0)
        with open(self.fleet.folder / "worker.log", "wb") as log:
            roots = (f"--allow-root={root}" for root in (e2e.SAMPLE, self.bucket))
            worker = e2e.start("worker", *roots, env=self.fleet.environment, log=log)
            self.addCleanup(worker.wait)
            self.addCleanup(worker.kill)
            e2e.wait_until(lambda: len(broker.committed("trawl.results")) == 400, "more results")
            worker.terminate()
            self.assertEqual(worker.wait(timeout=60), 0)
        broker.delete_records("trawl.results", 0)
        self.assert_refused(r"offsets \d+ to \d+ of trawl.results/0 are gone from the log")
        # Deleted and made anew, which the collector does itself when there is none: empty, then
        # with as many records as before, but others.
        broker.delete_topic("trawl.results")
        self.assert_refused(
            "trawl.results/[0-7] .* it ends at 0: the topic was deleted and made anew"
        )
        broker.put("trawl.results", [b"{}"] * 2000)
        self.assert_refused("trawl.results/[0-7] is not the one .* was deleted and made anew")
        self.assertEqual(before, e2e.query(self.fleet.db, everything))
        rows = e2e.query(self.fleet.db, "SELECT count(*) FROM objects")
        self.assertEqual(rows, [(200,)])

    def assert_refused(self, pattern, **environment):
        refused = e2e.trawl(
            *("collector", "--db", self.fleet.db),
            env={**self.fleet.environment, **environment},
        )
        self.assert_clean_error(refused, 2, pattern)

    def test_a_full_disk_and_a_locked_database_are_waited_out(self):
        # A limit on the size of files is a full disk that a test can have and lift again.
        limited = ["prlimit", "--fsize=600000:unlimited", "--", e2e.TRAWL]
        self.fleet.executable = ["env", "--ignore-signal=XFSZ", *limited]
        self.fleet.run_collector()
        self.fleet.executable = [e2e.TRAWL]
        keys = chaos.make_bucket(self.bucket, 2000)
        self.fleet.run_workers(2, [e2e.SAMPLE, self.bucket])
        self.assertEqual(self.fleet.produce(self.bucket).returncode, 0)
        collector = self.fleet.processes["collector"]
        full = "results wait to be written"
        e2e.wait_until(lambda: full in self.fleet.tail(1 << 24), "the full disk")
        self.assertIsNone(collector.poll())
        stored = self.fleet.rows()
        self.assertLess(stored, len(keys))
        connection = sqlite3.connect(self.fleet.db, timeout=30, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        subprocess.run(
            ["prlimit", "--fsize=unlimited:unlimited", f"--pid={collector.pid}"], check=True
        )
        time.sleep(12)  # longer than the collector's patience with a lock
        self.assertEqual(self.fleet.rows(), stored)
        connection.execute("ROLLBACK")
        connection.close()
        self.finish(keys)
        self.assertIs(self.fleet.processes["collector"], collector, "it was restarted")

    def test_a_second_collector_is_fenced_and_says_so(self):
        second = e2e.start(
            *("collector", "--db", self.fleet.db), env=self.fleet.environment, log=self.fleet.log
        )
        self.addCleanup(second.wait)
        self.addCleanup(second.kill)
        self.finish(self.begin(1000))
        # They race for the same offsets: whoever comes second stops. Who started too late to race
        # for any does so for what comes next.
        fenced = "another collector writes into this database"
        for i in range(20):
            if fenced in self.fleet.tail(1 << 24):
                break
            self.fleet.job = f"more-{i}"
            self.assertEqual(self.fleet.produce(self.bucket).returncode, 0)
            self.wait_for_rows(1000)
        self.assertIn(fenced, self.fleet.tail(1 << 24))


class OracleTest(ChaosCase):
    """The oracle sees each of eight bugs that it is there for. mutant.cc is Trawl with one of them
    put in; here it has the same work as above, and the oracle must not be content."""

    def assert_caught(self, bug, pattern, before=None, during=None):
        self.fleet = self.make_fleet([chaos.MUTANT, bug])
        self.fleet.environment["TRAWL_COMMIT_RESULTS"] = "16"  # many transactions
        keys = chaos.make_bucket(self.bucket, 400)
        failures = {}
        if before:
            before(keys, failures)
        done = self.fleet.produce(self.bucket)
        self.assertEqual(done.returncode, 0, done.stderr)
        if during:
            during(keys)
        self.fleet.run_workers(2, [e2e.SAMPLE, self.bucket])
        if bug != "reset-latest":
            self.fleet.run_collector()
        # A bug that loses keys keeps rows away for ever. Of any other, each comes.
        self.wait_until_settled(len(keys), 30 if "missing" in pattern else STUCK_S)
        self.wait_for_oracle(bug, pattern, keys, failures)

    def wait_for_oracle(self, bug, pattern, keys, failures):
        """What came twice may come behind all keys."""
        found = []

        def speaks():
            try:
                chaos.check_exactly_once(self.fleet, keys, failures)
            except chaos.OracleError as error:
                found.append(str(error))
            return found and re.search(pattern, found[-1])

        e2e.wait_until(speaks, f"the oracle's {pattern!r}")
        print(f"{bug}: {found[-1]}", flush=True)

    def wait_until_settled(self, count, quiet_s):
        """Goes on when all rows are there, or none comes any more."""
        if self.fleet.roles.get("collector") is None:
            e2e.wait_until(self.has_committed_results, "results on the topic")
            self.fleet.run_collector()
        rows, since = -1, time.monotonic()
        while time.monotonic() - since < (quiet_s if rows > 0 else STUCK_S) and rows < count:
            if self.fleet.rows() != rows:
                rows, since = self.fleet.rows(), time.monotonic()
            time.sleep(0.2)

    def has_committed_results(self):
        return any(
            json.loads(value)["job"] == self.fleet.job
            for value in self.broker.committed("trawl.results")
        )

    def test_a_dropped_record(self):
        self.assert_caught("dropped", "missing")

    def test_a_doubled_record(self):
        self.assert_caught("doubled", "doubled|twice")

    def test_an_early_offset(self):
        self.assert_caught("early-offset", "missing")

    def test_auto_commit(self):
        self.assert_caught("auto-commit", "missing")

    def test_offsets_outside_the_transaction(self):
        self.assert_caught("offsets-apart", "doubled|twice")

    def test_a_collector_that_reads_uncommitted_records(self):
        def kill_workers_at_their_commits(_keys):
            killed = []

            def kill(api_key):
                # Once there are results, so that what is aborted holds some, too.
                if api_key != chaos.END_TRANSACTION or len(killed) >= 2 or not self.fleet.rows():
                    return
                killed.append(api_key)
                for name in ("worker-0", "worker-1"):
                    self.fleet.signal(name, signal.SIGKILL)
                self.broker.network.reset()

            self.broker.network.on_request = kill
            self.addCleanup(setattr, self.broker.network, "on_request", lambda api_key: None)

        self.assert_caught("read-uncommitted", "twice", during=kill_workers_at_their_commits)

    def test_a_collector_that_starts_at_the_end(self):
        self.assert_caught("reset-latest", "SQLite: .* missing")

    def test_a_download_without_a_length_check(self):
        def grow(keys, failures):
            # Listed, and then another file: a decoder does not mind what follows a picture.
            self.grown = keys[7]
            failures[self.grown] = "changed"

        def write(keys):
            path = self.bucket / self.grown
            longer = path.read_bytes() + b"more than was listed"
            path.unlink()
            path.write_bytes(longer)

        self.assert_caught("no-length-check", "another outcome", before=grow, during=write)


if __name__ == "__main__":
    unittest.main(verbosity=2)
