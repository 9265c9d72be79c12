"""A process dies at each of twelve points of the protocol, and each key still ends in one outcome.

failpoints.cc is Trawl that exits with a code of its own when it comes to a point, so every crash
here is known to have happened there: a process that ends in another way, or never comes to its
point, fails the test. A round has six jobs, each with a queue and a group of its own, all at once.
Every job's worker dies at another of the worker's points, three of the producers at the producer's;
one collector for all dies at each of its own. Whoever died is started again, as the executable
itself. The oracle is chaos.check_exactly_once. --crashes COUNT runs as many rounds as that takes
(default 12: one), each point at another of its passes.
"""

import json
import subprocess
import sys
import time
import unittest

import chaos
import trawl_e2e as e2e

FAILPOINTS, EXIT_CODE = chaos.FAILPOINTS, chaos.EXIT_CODE
KEYS = 96  # of each job
# point -> how many passes a job of KEYS is sure to have, before the crash or after it. A worker's
# first transaction claims its partitions, a producer's first opens the job. The collector is
# everybody's, and stores COLLECT_ROWS at most, so that what it finds after a crash takes it several
# passes.
PRODUCER = {"sent": 12, "before-commit": 5, "after-commit": 5}
WORKER = {
    "polled": 8,
    "begun": 4,
    "sent": 60,
    "before-offsets": 3,
    "before-commit": 4,
    "after-commit": 4,
}
COLLECTOR = {"polled": 60, "before-store": 2, "after-store": 2}
COLLECT_ROWS = 64
POINTS_IN_A_ROUND = len(PRODUCER) + len(WORKER) + len(COLLECTOR)
SETTINGS = {
    "TRAWL_WORK_PARTITIONS": "4",
    "TRAWL_BATCH_KEYS": "8",
    "TRAWL_COMMIT_RESULTS": "16",
    "TRAWL_COLLECT_ROWS": str(COLLECT_ROWS),
    "TRAWL_LIST_PAGE_KEYS": "16",
    "TRAWL_SESSION_TIMEOUT_MS": str(chaos.SESSION_TIMEOUT_MS),
    "TRAWL_TRANSACTION_TIMEOUT_MS": str(chaos.TRANSACTION_TIMEOUT_MS),
    "TRAWL_SESSIONS": "1",
    "TRAWL_DECODE_THREADS": "1",
}


class Role:
    """A process that dies at each of `deaths`, one life after the other, and then lives on."""

    def __init__(self, test, settings, arguments, deaths):
        self.test = test
        self.settings = settings
        self.arguments = [*map(str, arguments)]
        self.deaths = list(deaths)  # (point, pass)
        self.process = None
        self.start()

    def start(self):
        extra, executable = {}, e2e.TRAWL
        if self.deaths:
            point, number = self.deaths[0]
            extra = {"FAILPOINT": point, "FAILPOINT_PASS": str(number)}
            executable = FAILPOINTS
        self.process = subprocess.Popen(
            [executable, *self.arguments],
            env=e2e.environment({**self.settings, **extra}),
            stdin=subprocess.DEVNULL,
            stdout=self.test.log,
            stderr=self.test.log,
        )

    def tend(self):
        """Starts it again if it has died where it had to. Its exit code after its last life."""
        code = self.process.poll()
        if code is None or not self.deaths:
            return code
        self.test.assertEqual(code, EXIT_CODE, f"{self} ended, at no failpoint\n{self.test.tail()}")
        self.test.crashes += 1
        self.deaths.pop(0)
        self.start()
        return None

    def __str__(self):
        return f"{self.arguments[0]} {self.deaths}"

    def stop(self):
        self.process.kill()
        self.process.wait()


class Job:
    """What chaos.check_exactly_once asks of a fleet."""

    def __init__(self, broker, db, name):
        self.broker, self.db, self.job = broker, db, name
        self.settings = {
            **SETTINGS,
            "TRAWL_BROKERS": broker.address,
            "TRAWL_REPLICATION": str(e2e.NODES),
            "TRAWL_QUEUE": name,
            "TRAWL_GROUP": name,
        }


class FailpointsTest(e2e.EndToEndTest):
    crashes_wanted = POINTS_IN_A_ROUND

    def setUp(self):
        super().setUp()
        self.broker = chaos.ChaosBroker()
        self.addCleanup(self.broker.close)
        self.log = open(self.dir / "log", "ab")
        self.addCleanup(self.log.close)
        self.bucket = self.dir / "bucket"
        self.keys = chaos.make_bucket(self.bucket, KEYS)
        self.crashes = 0

    def tail(self):
        return (self.dir / "log").read_text(errors="replace")[-3000:]

    def role(self, settings, arguments, deaths=()):
        role = Role(self, settings, arguments, deaths)
        self.addCleanup(role.stop)
        return role

    def test_each_key_ends_in_one_outcome_after_a_crash_at_every_point(self):
        rounds = -(-self.crashes_wanted // POINTS_IN_A_ROUND)
        for i in range(rounds):
            began = time.monotonic()
            self.run_round(i)
            print(
                f"round {i}: {self.crashes} crashes, {(i + 1) * len(WORKER) * KEYS} keys each once,"
                f" {time.monotonic() - began:.0f} s",
                flush=True,
            )
        self.assertEqual(self.crashes, rounds * POINTS_IN_A_ROUND)

    def test_a_producer_goes_on_where_it_was_behind_another_jobs_open_transaction(self):
        # One dies and leaves its transaction open: what is committed behind that on the topic of
        # all jobs, nobody can read before the broker has ended it.
        left, own = (Job(self.broker, self.db, name) for name in ("left-open", "own"))

        def produce(job, *deaths):
            arguments = ["producer", self.bucket, "--model", e2e.MODEL, "--job", job.job]
            role = self.role(job.settings, arguments, deaths)
            self.assertEqual(
                role.process.wait(timeout=e2e.TIMEOUT_S), EXIT_CODE if deaths else 0, self.tail()
            )

        produce(left, ("before-commit", 2))
        produce(own, ("after-commit", 4))
        produce(own)

        def enqueued():
            values = self.broker.committed("trawl.work.own")
            return sorted(each["key"] for value in values for each in json.loads(value)["objects"])

        # The broker ends a transaction on each partition after it has told the producer.
        e2e.wait_until(lambda: len(enqueued()) >= len(self.keys), "the end of the last page")
        self.assertEqual(enqueued(), sorted(self.keys))

    def test_who_waits_behind_an_open_transaction_says_so_and_can_be_stopped(self):
        job = Job(self.broker, self.db, "left-open")
        job.settings["TRAWL_TRANSACTION_TIMEOUT_MS"] = "900000"  # and so long it would be open
        produce = ["producer", self.bucket, "--model", e2e.MODEL, "--job"]
        died = self.role(job.settings, [*produce, job.job], [("before-commit", 2)])
        self.assertEqual(died.process.wait(timeout=e2e.TIMEOUT_S), EXIT_CODE, self.tail())
        waiting = [
            (["worker", f"--allow-root={e2e.SAMPLE}"], 0),
            ([*produce, "another"], 130),  # it has not done what it was for
        ]
        for arguments, code in waiting:
            log = self.dir / arguments[0]
            with open(log, "wb") as self.log:
                role = self.role(job.settings, arguments)
                e2e.wait_until(
                    lambda: b"waiting for an open transaction" in log.read_bytes(), "the notice"
                )
                self.assertIn(b"topic=trawl.jobs", log.read_bytes())
                role.process.terminate()
                self.assertEqual(role.process.wait(timeout=e2e.TIMEOUT_S), code, log.read_text())

    def test_a_worker_whose_transactions_keep_failing_ends_and_says_so(self):
        job = Job(self.broker, self.db, "fatal")
        produced = self.role(
            job.settings, ["producer", self.bucket, "--model", e2e.MODEL, "--job", job.job]
        )
        self.assertEqual(produced.process.wait(timeout=e2e.TIMEOUT_S), 0, self.tail())
        arguments = ["worker", f"--allow-root={e2e.SAMPLE}", f"--allow-root={self.bucket}"]
        worker = self.role(job.settings, arguments, [("fatal", 1)])
        self.assertEqual(worker.process.wait(timeout=e2e.TIMEOUT_S), 70, self.tail())
        self.assertRegex(self.tail(), "trawl: .*5 fatal failures of transactions in five minutes")

    def run_round(self, number):
        def deaths(points):
            return [(point, 1 + 7 * number % passes) for point, passes in points.items()]

        jobs = [Job(self.broker, self.db, f"{point}-{number}") for point in WORKER]
        collector = self.role(
            jobs[0].settings, ["collector", "--db", self.db], deaths=deaths(COLLECTOR)
        )
        producer_deaths = [[death] for death in deaths(PRODUCER)]
        producer_deaths += [[]] * (len(jobs) - len(producer_deaths))
        producers = [
            self.role(
                job.settings,
                ["producer", self.bucket, "--model", e2e.MODEL, "--job", job.job],
                deaths=mine,
            )
            for job, mine in zip(jobs, producer_deaths)
        ]
        workers = [
            self.role(
                job.settings,
                ["worker", f"--allow-root={e2e.SAMPLE}", f"--allow-root={self.bucket}"],
                deaths=[death],
            )
            for job, death in zip(jobs, deaths(WORKER))
        ]
        self.see_through(jobs, producers, [collector, *workers])
        for job in jobs:
            chaos.check_exactly_once(job, self.keys)
        for role in [collector, *workers]:
            role.process.terminate()
        for role in [collector, *workers]:
            self.assertEqual(role.process.wait(timeout=e2e.TIMEOUT_S), 0, f"{role}\n{self.tail()}")

    def see_through(self, jobs, producers, servers):
        """Until the producers have ended well, and every row is there, and nobody has to die."""

        def done():
            codes = [each.tend() for each in producers]
            for code in codes:
                self.assertIn(code, (None, 0), self.tail())
            for each in servers:
                self.assertIsNone(each.tend(), f"{each} ended\n{self.tail()}")
            rows = dict(e2e.query_or_nothing(self.db, "SELECT job, done + failed FROM jobs"))
            return (
                all(code == 0 for code in codes)
                and not any(each.deaths for each in servers)
                and all(rows.get(job.job, 0) >= KEYS for job in jobs)
            )

        try:
            e2e.wait_until(done, "every crash and every row", timeout=2 * e2e.TIMEOUT_S, pause=0.2)
        except AssertionError as late:
            roles = ", ".join(str(each) for each in [*producers, *servers] if each.deaths)
            raise AssertionError(f"{late}; yet to die: {roles}\n{self.tail()}") from None


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--crashes":
        FailpointsTest.crashes_wanted = int(sys.argv[2])
        del sys.argv[1:]
    unittest.main(verbosity=2)
