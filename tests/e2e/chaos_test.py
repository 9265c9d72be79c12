"""Everything around a job breaks, and each key still ends in exactly one outcome.

Real processes on a real broker behind a proxy: kill -9 of every role and of the broker, SIGSTOP
past the session and transaction time-outs, SIGTERM, connections that are slow, reset or silent,
and messages that are no work. The oracle is chaos.check_exactly_once. TRAWL_CHAOS_SCALE=1 is what
CI runs; ops/soak.sh runs the full figures.
"""

import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import time
import unittest

import chaos
import trawl_e2e as e2e

SCALE = float(os.environ.get("TRAWL_CHAOS_SCALE", "1"))
SEED = int(os.environ.get("TRAWL_CHAOS_SEED", str(random.SystemRandom().randrange(1 << 32))))


def scaled(count):
    return max(1, round(count * SCALE))


class OnChaosBroker(e2e.EndToEndTest):
    """A broker and a fleet for each test."""

    @classmethod
    def setUpClass(cls):
        cls.broker = chaos.ChaosBroker()
        cls.addClassCleanup(cls.broker.close)

    def setUp(self):
        super().setUp()
        print(f"seed {SEED}", flush=True)
        self.random = random.Random(SEED)
        self.bucket = self.dir / "bucket"
        self.fleet = self.make_fleet()

    def make_fleet(self, executable=None):
        job = self.id().rsplit(".", 1)[-1].removeprefix("test_")[:40]
        fleet = chaos.Fleet(self.dir, self.broker, job, executable)
        self.addCleanup(fleet.stop)
        return fleet


class ChaosTest(OnChaosBroker):
    def begin(self, keys, workers=3):
        """A job of so many keys, enqueued, with everybody at work. Returns the keys."""
        names = chaos.make_bucket(self.bucket, keys)
        self.fleet.run_collector()
        self.fleet.run_workers(workers, [e2e.SAMPLE, self.bucket])
        done = self.fleet.produce(self.bucket)
        self.assertEqual(done.returncode, 0, done.stderr)
        return names

    def finish(self, keys, timeout=180, failures=None):
        try:
            self.fleet.wait_for_rows(len(keys), timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}; {self.fleet.rows()} rows\n{self.fleet.tail()}") from None
        chaos.check_exactly_once(self.fleet, keys, failures)

    def test_kill_9_of_workers_and_collector(self):
        keys = self.begin(scaled(2000))
        for _ in range(scaled(12)):
            time.sleep(self.random.uniform(0.2, 1.5))
            victim = self.random.choice(["worker-0", "worker-1", "worker-2", "collector"])
            self.fleet.signal(victim, signal.SIGKILL)
        self.finish(keys)

    def test_kill_9_of_the_producer(self):
        keys = chaos.make_bucket(self.bucket, scaled(3000))
        self.fleet.run_collector()
        self.fleet.run_workers(2, [e2e.SAMPLE, self.bucket])
        for _ in range(scaled(6)):
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
        keys = self.begin(scaled(1500))
        for _ in range(scaled(2)):
            time.sleep(self.random.uniform(0.5, 2))
            self.broker.kill()
            self.broker.start()
        self.finish(keys)

    def test_a_worker_that_stops_past_its_time_outs(self):
        keys = self.begin(scaled(2000))
        pause_s = 1.3 * max(chaos.SESSION_TIMEOUT_MS, chaos.TRANSACTION_TIMEOUT_MS) / 1000
        for i in range(scaled(1)):
            victim = f"worker-{i % 3}"
            # In the midst of a transaction: as its end is on the wire.
            stopped = []

            def stop_it(api_key):
                if api_key == chaos.END_TRANSACTION and not stopped:
                    stopped.append(True)
                    self.fleet.signal(victim, signal.SIGSTOP)

            self.broker.network.on_request = stop_it
            time.sleep(1)
            self.broker.network.on_request = lambda api_key: None
            if not stopped:
                self.fleet.signal(victim, signal.SIGSTOP)
            time.sleep(pause_s)
            self.fleet.signal(victim, signal.SIGCONT)
        self.finish(keys)

    def test_sigterm_ends_with_0_within_25_seconds(self):
        keys = self.begin(scaled(1500))
        for i in range(scaled(6)):
            time.sleep(self.random.uniform(0.5, 2))
            name = ["worker-0", "worker-1", "worker-2", "collector"][i % 4]
            code, seconds = self.fleet.terminate(name)
            self.assertEqual(code, 0, self.fleet.tail())
            self.assertLess(seconds, 25)
        self.finish(keys)

    def test_a_network_that_is_slow_then_resets_then_is_silent(self):
        keys = self.begin(scaled(2000))
        self.addCleanup(setattr, self.broker.network, "delay_s", 0.0)
        self.broker.network.delay_s = 0.1
        time.sleep(4)
        self.broker.network.delay_s = 0.0
        for _ in range(scaled(8)):
            time.sleep(self.random.uniform(0.1, 0.6))
            self.broker.network.reset()
        self.broker.network.open.clear()
        time.sleep(1.5 * chaos.SESSION_TIMEOUT_MS / 1000)
        self.broker.network.open.set()
        self.finish(keys)

    def test_ends_of_transactions_that_arrive_late_on_the_old_connection(self):
        keys = self.begin(scaled(1500))
        network = self.broker.network
        held = []

        def hold(api_key):
            if api_key == chaos.END_TRANSACTION and self.random.random() < 0.4:
                held.append(api_key)
                time.sleep(self.random.uniform(3, 5))

        network.on_request = hold
        self.addCleanup(setattr, network, "on_request", lambda api_key: None)
        e2e.wait_until(lambda: len(held) >= scaled(4) or self.fleet.rows() == len(keys), "holds")
        network.on_request = lambda api_key: None
        self.finish(keys)

    def test_malformed_messages_are_one_failure_each(self):
        keys = self.begin(scaled(500))
        topic = f"trawl.work.{self.fleet.job}"
        self.put_messages(topic, [self.malformed_message(i) for i in range(scaled(500))])
        done = subprocess.run(
            ["kcat", "-C", "-b", self.broker.address, "-t", topic, "-e", "-q", "-f", "%k\t%p/%o\n"],
            check=True,
            timeout=e2e.TIMEOUT_S,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        places = {f"{topic}/{place}" for key, place in lines if key == "nobody"}
        self.assertEqual(len(places), scaled(500))
        filed = f"malformed/{topic}"
        self.fleet.wait_for_rows(len(keys), 300)
        self.fleet.wait_for_rows(len(places), 300, filed)
        chaos.check_exactly_once(self.fleet, keys)
        chaos.check_exactly_once(self.fleet, places, dict.fromkeys(places, "internal"), job=filed)
        self.assertEqual(self.fleet.exits, {}, "nobody may die of a message")
        for name, process in self.fleet.processes.items():
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            [peak] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
            self.assertLess(int(peak.split()[1]) << 10, 256 << 20, f"{name}'s memory")

    def malformed_message(self, i):
        """Of ten kinds, each of many values."""
        work = json.dumps({"version": 1, "job": "j", "seq": i, "objects": [{"key": "k" * 50}] * 9})
        kinds = [
            lambda: b"",
            lambda: self.random.randbytes(1 + i % 2000),
            lambda: work.encode()[: self.random.randrange(1, len(work) - 1)],
            lambda: work.replace('"version": 1', f'"version": {99 + i}').encode(),
            lambda: work.replace(f'"seq": {i}', '"seq": 9223372036854775808').encode(),
            lambda: b'{"version":1,"job":7,"seq":"0","objects":{}}',
            lambda: b"[" * 100_000,
            lambda: b'{"version":1,"job":"\xff\xfe\x00","seq":0,"objects":[],"n":NaN}',
            lambda: b"\0" * (1 + i % 100),
            lambda: b'{"version":1,"job":"' + b"x" * (900_000 if i % 100 == 9 else 9_000) + b'"}',
        ]
        return kinds[i % len(kinds)]()

    def put_messages(self, topic, messages):
        """Any bytes, by kcat, under the key `nobody`; nothing becomes a message without a value."""
        key, line = (f"--{self.random.getrandbits(64):016x}{end}--" for end in "kl")
        subprocess.run(
            ["kcat", "-P", "-Z", "-b", self.broker.address, "-t", topic, "-K", key, "-D", line],
            input=b"".join(f"nobody{key}".encode() + each + line.encode() for each in messages),
            check=True,
            timeout=e2e.TIMEOUT_S,
        )

    def test_an_object_that_kills_its_worker_fails_after_the_third_try(self):
        self.fleet = self.make_fleet([chaos.FAILPOINTS])
        self.fleet.environment |= {"FAILPOINT": "opened", "FAILPOINT_FILE": "poison"}
        keys = chaos.make_bucket(self.bucket, 200)
        poison = "3/000003-poison.jpg"  # listed, and so enqueued, among good ones
        os.link(self.bucket / keys[0], self.bucket / poison)
        self.fleet.run_collector()
        self.fleet.run_workers(1, [e2e.SAMPLE, self.bucket])
        self.assertEqual(self.fleet.produce(self.bucket).returncode, 0)
        self.finish([*keys, poison], failures={poison: "internal"})
        deaths = {("worker-0", chaos.EXIT_CODE): 3}
        self.assertEqual(self.fleet.exits, deaths, self.fleet.tail())
        told = "SELECT attempts, message FROM failures WHERE job = ?"
        [(attempts, message)] = e2e.query(self.fleet.db, told, self.fleet.job)
        self.assertEqual(attempts, 3)
        self.assertIn("its worker died 3 times", message)

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
        e2e.wait_until(lambda: "results wait to be written" in self.fleet.tail(), "the full disk")
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
        keys = self.begin(1000)
        # They race for the same offsets: whoever comes second stops.
        second = e2e.start(
            *("collector", "--db", self.fleet.db), env=self.fleet.environment, log=self.fleet.log
        )
        self.addCleanup(second.wait)
        self.addCleanup(second.kill)
        self.finish(keys)
        self.assertIn("another collector writes into this database", self.fleet.tail(1 << 20))


class OracleTest(OnChaosBroker):
    """The oracle sees each of eight bugs that it is there for. mutant.cc is Trawl with one of them
    put in; here it has the same work as above, and the oracle must not be content."""

    def assert_caught(self, bug, pattern, before=None, during=None):
        mutant = os.environ.get("TRAWL_MUTANT", str(e2e.SOURCE / "build/tests/e2e/trawl_mutant"))
        self.fleet = self.make_fleet([mutant, bug])
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
        self.wait_until_settled(len(keys))
        with self.assertRaisesRegex(chaos.OracleError, pattern) as caught:
            chaos.check_exactly_once(self.fleet, keys, failures)
        print(f"{bug}: {caught.exception}", flush=True)

    def wait_until_settled(self, count):
        """A bug may keep rows away for ever: goes on when all are there, or none comes any more."""
        if self.fleet.roles.get("collector") is None:
            e2e.wait_until(self.has_committed_results, "results on the topic")
            self.fleet.run_collector()
        rows, since = -1, time.monotonic()
        while time.monotonic() - since < 30 and self.fleet.rows() < count:
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
