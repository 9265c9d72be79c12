"""Partitions go from one worker to another while the first has work in hand, or has been silent for
too long, and each key still ends in exactly one outcome.

What is slow is held by the test until the group has gone on without it, so that a worker that waits
for it fails the test however fast the machine is. The oracle is chaos.check_exactly_once.
"""

import re
import signal
import threading
import time
import unittest

import chaos
import trawl_e2e as e2e
from chaos_case import STUCK_S, ChaosCase, faults_of, keys_of
from slow_store import SlowStore

PARTITIONS = 12


class RebalanceTest(ChaosCase):
    def begin_on_slow_store(self, count, holds):
        """One worker, at work on objects of a store that holds some of them."""
        self.store = SlowStore()
        self.addCleanup(self.store.close)
        self.store.holds = holds
        manifest = self.dir / "keys.txt"
        keys = self.store.write_manifest(manifest, count)
        self.fleet.environment |= {"TRAWL_BATCH_KEYS": "2", **self.store.environment}
        done = self.fleet.produce(self.store.address, "--manifest", manifest)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.fleet.run_collector()
        self.run_worker(0)
        return keys

    def run_worker(self, number):
        roots = (e2e.SAMPLE, self.bucket, self.store.address)
        allowed = (f"--allow-root={root}" for root in roots)
        self.fleet.run(f"worker-{number}", "worker", *allowed)

    def assignments(self):
        """How many partitions were assigned each time that any were, of the work topic."""
        topic = re.escape(f"trawl.work.{self.fleet.job}")
        log = self.fleet.tail(1 << 24)
        found = re.findall(rf"partitions assigned .*{topic}\"? .*count=(\d+)", log)
        return [int(count) for count in found if count != "0"]

    def let_second_worker_join(self):
        """Returns once both have their half, the first still in the midst of what it does."""
        began = time.monotonic()
        self.run_worker(1)
        e2e.wait_until(
            lambda: self.assignments()[-2:] == [PARTITIONS // 2] * 2,
            "two workers, half of the partitions each",
            STUCK_S,
        )
        print(f"joined within {time.monotonic() - began:.1f} s", flush=True)

    def test_a_worker_joins_while_the_first_waits_for_its_store(self):
        keys = self.begin_on_slow_store(200, lambda key: True)
        e2e.wait_until(lambda: len(self.store.asked) >= 10, "downloads")
        self.let_second_worker_join()
        self.assertEqual(self.fleet.rows(), 0)
        self.store.release.set()
        self.finish(keys)
        self.assertEqual(self.fleet.exits, {})

    def test_a_worker_joins_while_the_first_cannot_commit(self):
        # What is finished waits for the slow one, and is committed only as the partitions go.
        self.fleet.environment |= {
            "TRAWL_COMMIT_INTERVAL_MS": "60000",
            "TRAWL_COMMIT_RESULTS": "1000",
            "TRAWL_TRANSACTION_TIMEOUT_MS": "900000",  # the log's own limit is not what ends it
        }
        keys = self.begin_on_slow_store(100, lambda key: key == "0050.jpg")
        e2e.wait_until(lambda: len(self.store.asked) == len(keys), "downloads")
        let_go = threading.Event()
        self.addCleanup(let_go.set)
        held = []

        def hold_the_first(api_key):
            if api_key == chaos.END_TRANSACTION and not held:
                held.append(api_key)
                let_go.wait()

        self.broker.network.on_request = hold_the_first
        self.addCleanup(setattr, self.broker.network, "on_request", lambda api_key: None)
        self.let_second_worker_join()
        self.assertEqual(len(held), 1, "it had something to commit")
        let_go.set()  # it arrives after all, when somebody else has done the work or is about to
        self.store.release.set()
        self.finish(keys)
        self.assertEqual(self.fleet.exits, {})

    def begin_to_die(self, point, number=1):
        """One worker that dies at a failpoint, with results that are finished but not committed,
        since one object is still on its way."""
        self.fleet.environment |= {
            "TRAWL_COMMIT_INTERVAL_MS": "60000",
            "TRAWL_COMMIT_RESULTS": "1000",
            "FAILPOINT": point,
            "FAILPOINT_PASS": str(number),
        }
        self.fleet.executable = [chaos.FAILPOINTS]
        keys = self.begin_on_slow_store(100, lambda key: key == "0050.jpg")
        e2e.wait_until(lambda: len(self.store.asked) == len(keys), "downloads")
        self.fleet.executable = [e2e.TRAWL]  # whoever is started from now on
        return keys

    def finish_after_death(self, keys):
        died = {("worker-0", chaos.EXIT_CODE): 1}
        e2e.wait_until(lambda: self.fleet.exits == died, "its death at the failpoint")
        self.store.release.set()
        self.finish(keys, faults=1)
        self.assertEqual(self.fleet.exits, died)

    def test_a_worker_dies_as_it_commits_what_it_has_to_give_up(self):
        keys = self.begin_to_die("before-commit", 2)  # the first claims its partitions
        self.run_worker(1)
        self.finish_after_death(keys)

    def test_a_worker_dies_as_it_gives_its_partitions_up(self):
        keys = self.begin_to_die("revoked")
        self.run_worker(1)
        self.finish_after_death(keys)

    def test_a_worker_dies_as_it_goes_back_to_what_is_committed(self):
        keys = self.begin_to_die("seeking")
        for command in ("pause", "resume"):
            done = e2e.trawl(command, self.fleet.job, env=self.fleet.environment)
            self.assertEqual(done.returncode, 0, done.stderr)
            if command == "pause":
                e2e.wait_until(lambda: self.fleet.exits, "its death at the failpoint")
        self.finish_after_death(keys)

    def test_a_worker_dies_as_it_leaves(self):
        keys = self.begin_to_die("leaving")
        self.store.release.set()
        self.fleet.signal("worker-0", signal.SIGTERM)
        self.finish_after_death(keys)

    def test_two_workers_of_one_slot_do_not_both_go_on(self):
        self.fleet.environment["TRAWL_WORKER_SLOT"] = "the-same"
        keys = self.begin_on_slow_store(100, lambda key: True)
        e2e.wait_until(lambda: len(self.store.asked) >= 10, "downloads")
        # By mistake; whoever comes later owns the slot. Nobody starts the first again.
        first = self.fleet.give_up("worker-0")
        self.addCleanup(first.kill)
        self.run_worker(1)
        self.assertEqual(first.wait(timeout=e2e.TIMEOUT_S), 2, self.fleet.tail())
        self.assertRegex(self.fleet.tail(), "trawl: .*transactional id")
        self.store.release.set()
        self.finish(keys)
        self.assertEqual(self.fleet.exits, {})

    def test_a_fleet_that_grows_and_shrinks(self):
        keys = self.begin(keys_of(5000), workers=1)
        roots = [f"--allow-root={root}" for root in (e2e.SAMPLE, self.bucket)]
        started = 1
        for count in (4, 1, 3):
            self.wait_for_rows(min(self.fleet.rows() + 1, len(keys)))
            for i in range(4):
                name = f"worker-{i}"
                if i < count and name not in self.fleet.roles:
                    self.fleet.run(name, "worker", *roots)
                    started += 1
                elif i >= count and name in self.fleet.roles:
                    self.assertEqual(self.fleet.retire(name), 0, self.fleet.tail())
            # Before, a signal ends them as it does any process.
            e2e.wait_until(
                lambda: self.fleet.tail(1 << 24).count("worker ready") >= started, "workers"
            )
        self.finish(keys)
        self.assertEqual(self.fleet.exits, {})

    def test_a_worker_that_comes_back_to_a_group_without_it_may_not_commit(self):
        self.fleet.environment |= {"TRAWL_TRANSACTION_TIMEOUT_MS": "60000"}
        stopped, let_go = threading.Event(), threading.Event()
        self.addCleanup(let_go.set)

        def stop_before_its_offsets(api_key):
            if api_key == chaos.TRANSACTION_OFFSETS and not stopped.is_set():
                self.fleet.signal("worker-0", signal.SIGSTOP)
                stopped.set()
                let_go.wait()

        keys = self.begin_on_slow_store(100, lambda key: False)
        self.broker.network.on_request = stop_before_its_offsets
        self.addCleanup(setattr, self.broker.network, "on_request", lambda api_key: None)
        self.assertTrue(stopped.wait(STUCK_S), "a transaction with offsets")
        self.run_worker(1)
        e2e.wait_until(lambda: self.assignments()[1:].count(PARTITIONS), "the other has all")
        self.fleet.signal("worker-0", signal.SIGCONT)
        let_go.set()
        e2e.wait_until(lambda: "partitions lost" in self.fleet.tail(1 << 24), "its loss")
        self.finish(keys)  # by the other, perhaps before the first has found out
        e2e.wait_until(lambda: "transaction aborted" in self.fleet.tail(1 << 24), "its abort")
        self.assertEqual(self.fleet.exits, {}, "it goes on by itself")

    def test_a_worker_that_stops_past_its_time_outs(self):
        stops = faults_of(1)
        pause_s = 1.3 * max(chaos.SESSION_TIMEOUT_MS, chaos.TRANSACTION_TIMEOUT_MS) / 1000
        stopped = self.stop_in_a_transaction("worker-0")
        keys = self.begin_to_enqueue(keys_of(3000))
        for i in self.due_faults(keys, stops):
            victim = f"worker-{i % 4}"
            if i > 0:
                stopped = self.stop_in_a_transaction(victim)
            self.assertTrue(stopped.wait(STUCK_S), "a transaction with offsets")
            time.sleep(pause_s)
            self.fleet.signal(victim, signal.SIGCONT)
        self.finish(keys, faults=stops)
        self.assertEqual(self.fleet.exits, {}, "it goes on by itself")

    def stop_in_a_transaction(self, victim):
        """Stops it when somebody, perhaps itself, sends offsets. Returns an event: it stands."""
        stopped = threading.Event()

        def stop_it(api_key):
            if api_key == chaos.TRANSACTION_OFFSETS and not stopped.is_set():
                self.fleet.signal(victim, signal.SIGSTOP)
                stopped.set()

        self.broker.network.on_request = stop_it
        self.addCleanup(setattr, self.broker.network, "on_request", lambda api_key: None)
        return stopped


if __name__ == "__main__":
    unittest.main(verbosity=2)
