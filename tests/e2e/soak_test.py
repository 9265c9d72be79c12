"""What takes too long for every commit, or measures: fleets on a network that breaks all the time,
far from its brokers, or without one of them, commits that arrive twice, a worker that is far from
its store, and a job that fails as a whole.

Rates are compared within one run, with those of the same fleet while nothing is wrong. The oracle
is chaos.check_exactly_once. ops/soak.sh runs it.
"""

import collections
import queue
import re
import signal
import socketserver
import threading
import time
import unittest
import urllib.parse

import chaos
import trawl_e2e as e2e
from chaos_case import OUTAGE_S, ChaosCase, faults_of, keys_of
from failing_store import FailingStore
from server_on_thread import ServerOnThread


class FarNetwork(chaos.Network):
    """Answers take `latency()` seconds longer, any number of them at a time."""

    latency = staticmethod(lambda: 0.0)

    def __init__(self, target_ports):
        self.here = threading.local()  # of who is in on_request: .client, the request's connection
        super().__init__(target_ports)

    def _arrivals(self, source, requests):
        if requests:
            self.here.client = source
            yield from super()._arrivals(source, requests)
            return
        arrived = queue.SimpleQueue()
        self._thread(self._receive, source, arrived)
        while True:
            due, data = arrived.get()
            if not data:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            yield data

    def _receive(self, source, arrived):
        try:
            while data := source.recv(65536):
                arrived.put((time.monotonic() + self.latency(), data))
        except OSError:
            pass
        arrived.put((0.0, b""))

    def reset_some(self, chance):
        """RST on either end of each connection with this probability."""
        with self.lock:
            sockets = [each for each in self.sockets if self.random.random() < chance]
        for each in sockets:
            self.reset_one(each)
        return len(sockets)


class SoakCase(ChaosCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = chaos.ChaosBroker(FarNetwork)
        cls.addClassCleanup(cls.broker.close)

    def setUp(self):
        super().setUp()
        self.network = self.broker.network
        self.network.random = self.random
        self.addCleanup(setattr, self.network, "latency", lambda: 0.0)
        self.addCleanup(setattr, self.network, "on_request", lambda api_key: None)


class NetworkTest(SoakCase):
    def make_fleet(self, executable=None):
        fleet = super().make_fleet(executable)
        for name in ("TRAWL_BATCH_KEYS", "TRAWL_COMMIT_RESULTS", "TRAWL_LIST_PAGE_KEYS"):
            del fleet.environment[name]  # as people have them
        return fleet

    def setUp(self):
        super().setUp()
        self.keys = chaos.make_bucket(self.bucket, keys_of(10_000))
        self.fleet.run_collector()
        self.fleet.run_workers(4, [e2e.SAMPLE, self.bucket])
        self.makespan("warm-up")

    def makespan(self, job):
        """Seconds from the first key enqueued to the last row."""
        self.fleet.job = job
        began = time.monotonic()
        done = self.fleet.produce(self.bucket)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait_for_rows(len(self.keys))
        took = time.monotonic() - began
        chaos.check_exactly_once(self.fleet, self.keys)
        return took

    def compare(self, trouble, end):
        """The rate beside `trouble`, as a share of the better of those before and after it."""
        before = self.makespan("before")
        trouble()
        troubled = self.makespan("troubled")
        end()
        share = min(before, self.makespan("after")) / troubled
        print(f"{len(self.keys)} keys each once, {share:.0%} of the rate", end=" ")
        print(f"without trouble ({len(self.keys) / troubled:.0f} keys/s)", flush=True)
        return share

    def test_connections_that_break_all_the_time(self):
        over = threading.Event()
        self.addCleanup(over.set)
        resets = []

        def break_them():
            while not over.wait(0.1):
                resets.append(self.network.reset_some(0.0005))  # 1 % a second

        thread = threading.Thread(target=break_them)

        def end():
            over.set()
            thread.join()

        self.compare(thread.start, end)
        print(f"{sum(resets)} resets", flush=True)
        self.assertGreater(sum(resets), 0)

    def test_brokers_that_are_far_away(self):
        def put(latency):
            self.network.latency = latency

        share = self.compare(
            lambda: put(lambda: self.random.uniform(0.1, 0.3)), lambda: put(lambda: 0.0)
        )
        self.assertGreaterEqual(share, 0.5)

    def test_a_node_that_answers_nobody_for_minutes(self):
        clean = self.rate("clean")
        hangs = self.broker.nodes[0].process
        self.addCleanup(hangs.send_signal, signal.SIGCONT)
        over = []

        def hang():
            hangs.send_signal(signal.SIGSTOP)
            over.append(time.monotonic() + OUTAGE_S)

        shares = [self.rate("first", hang) / clean]
        # What its clients have learned of the cluster may grow old in ten minutes.
        time.sleep(max(0.0, over[0] - len(self.keys) / clean - time.monotonic()))
        shares.append(self.rate("last") / clean)
        hangs.send_signal(signal.SIGCONT)
        for job in ("clean", "first", "last"):
            chaos.check_exactly_once(self.fleet, self.keys, job=job)
        print(f"{len(self.keys)} keys each once, {shares[0]:.0%} of the rate without", end=" ")
        print(f"trouble ({clean:.0f} keys/s), {shares[1]:.0%} at the end", flush=True)
        self.assertEqual(self.fleet.exits, {}, "it goes on by itself")
        self.assertGreaterEqual(min(shares), 0.25)

    def rate(self, job, trouble=lambda: None):
        """Keys a second from when all are enqueued, and `trouble` begins, to the last row."""
        self.fleet.job = job
        done = self.fleet.produce(self.bucket)
        self.assertEqual(done.returncode, 0, done.stderr)
        trouble()
        left, began = len(self.keys) - self.fleet.rows(), time.monotonic()
        self.wait_for_rows(len(self.keys))
        return left / (time.monotonic() - began)


class LateEndTest(SoakCase):
    """The end of a transaction breaks its connection on the way, is sent again, and arrives once
    more in the midst of the next transaction, whose owner then dies (KAFKA-17754)."""

    def begin(self, keys, workers=1):
        self.fleet.environment["TRAWL_COMMIT_RESULTS"] = "16"
        # With more of them rows may come of one while another waits for the worker to live longer.
        self.fleet.environment["TRAWL_WORK_PARTITIONS"] = "1"
        self.meetings, self.held, self.rows_to_come = 0, None, 1
        self.network.on_request = self.hold_or_let_go
        return super().begin(keys, workers)

    def hold_or_let_go(self, api_key):
        # Once there are rows, the only transactions are those of the one worker.
        if api_key == chaos.END_TRANSACTION and self.held is None:
            if self.fleet.rows() < self.rows_to_come:
                return
            self.held = threading.Event()
            self.addCleanup(self.held.set)
            self.retried = False
            self.network.reset_one(self.network.here.client)
            self.held.wait()
        elif api_key == chaos.END_TRANSACTION and self.held:
            self.retried = True
        elif api_key == chaos.TRANSACTION_OFFSETS and self.held and self.retried:
            self.meet()

    def meet(self):
        held = self.held
        self.retried = False
        # The next transaction's records, or most of them, are in the log by now.
        before = self.committed()
        if not self.is_true_within(5, lambda: self.uncommitted() > before):
            self.retried = True  # they wait behind this very request: the one after, then
            return
        held.set()
        self.is_true_within(3, lambda: self.committed() > before)
        self.fleet.signal("worker-0", signal.SIGKILL)
        self.meetings += 1
        # No object has to look as if it had killed three workers: what ran is committed by then.
        self.rows_to_come = self.fleet.rows() + 200
        self.held = None

    def is_true_within(self, seconds, condition):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
        return True

    def committed(self):
        return len(self.broker.committed("trawl.results"))

    def uncommitted(self):
        return len(self.broker.committed("trawl.results", "read_uncommitted"))

    def meet_some(self, count):
        keys = self.begin(keys_of(2000))
        e2e.wait_until(
            lambda: self.meetings >= count or self.fleet.rows() == len(keys), "meetings", 600
        )
        self.network.on_request = lambda api_key: None
        if self.held:
            self.held.set()
        self.assertGreater(self.meetings, 0)
        return keys

    def test_it_ends_nothing_but_its_own(self):
        self.finish(self.meet_some(faults_of(5)), faults=self.meetings)

    def test_without_a_new_producer_it_ends_the_next(self):
        self.fleet = self.make_fleet([chaos.MUTANT, "unrotated"])
        keys = self.meet_some(faults_of(5))
        self.wait_for_rows(len(keys))
        with self.assertRaisesRegex(chaos.OracleError, "twice|doubled") as found:
            chaos.check_exactly_once(self.fleet, keys)
        print(f"{self.meetings} meetings: {found.exception}", flush=True)


class Bucket(ServerOnThread, socketserver.ThreadingTCPServer):
    """An S3 server with as little behind it as a test needs: `answer(key)` is the status and the
    body that a GET gets."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answer = answer
        self.port = self.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.serve()

    def handle_error(self, *_):
        pass  # a client that has gone elsewhere


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while line := self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            path = urllib.parse.unquote(line.split()[1].decode())
            status, body = self.server.answer(path.removeprefix("/photos/"))
            said = f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            self.wfile.write(said + body)


class BucketCase(SoakCase):
    """Jobs of manifests of keys of a bucket."""

    SECRETS = {"AWS_SECRET_ACCESS_KEY": "canary-secret-key", "AWS_SESSION_TOKEN": "canary-token"}

    def begin_bucket(self, count, store):
        self.store = store
        self.addCleanup(self.store.close)
        self.fleet.environment |= {
            "TRAWL_S3_ENDPOINT": self.store.endpoint,
            "AWS_ACCESS_KEY_ID": "canary",
            **self.SECRETS,
        }
        keys = [f"{i:06}.jpg" for i in range(count)]
        self.manifest = self.dir / "keys.txt"
        self.manifest.write_text("".join(f"{key}\n" for key in keys))
        return keys

    def produce(self):
        done = self.fleet.produce("s3://photos/", "--manifest", self.manifest)
        self.assertEqual(done.returncode, 0, done.stderr)


class FailuresTest(BucketCase):
    def make_fleet(self, executable=None):
        fleet = super().make_fleet(executable)
        for name in ("TRAWL_BATCH_KEYS", "TRAWL_COMMIT_RESULTS", "TRAWL_LIST_PAGE_KEYS"):
            del fleet.environment[name]  # as people have them
        # Nothing is wrong with the network, and a proxy would be the slowest part.
        fleet.environment |= {"TRAWL_BROKERS": self.broker.address}
        fleet.environment |= {"TRAWL_FAILED_PERCENT_MAX": "100"}
        return fleet

    def test_a_job_that_fails_as_a_whole_is_quiet_and_keeps_its_secrets(self):
        keys = self.begin_bucket(keys_of(300_000), FailingStore())
        self.fleet.run_collector()
        self.produce()
        malformed = 2000
        self.broker.put(f"trawl.work.{self.fleet.job}", [b"no work"] * malformed)
        self.fleet.run_workers(2, [e2e.SAMPLE])
        per_minute = 60 * self.rate(len(keys))
        self.finish(keys, {key: "not_found" for key in keys})
        self.wait_for_rows(malformed, f"malformed/trawl.work.{self.fleet.job}")
        for worker in ("worker-0", "worker-1"):
            self.assertEqual(self.fleet.retire(worker), 0)
        self.fleet.stop()
        log = self.fleet.tail(1 << 30)
        busiest = max(collections.Counter(re.findall(r"^\S+T[\d:]{8}", log, re.M)).values())
        print(f"{per_minute:.0f} failures a minute, {busiest} lines in one second", flush=True)
        self.assertLessEqual(busiest, 100)
        said = [line for line in log.splitlines() if "malformed work message" in line]
        written = sum("reason=" in line for line in said)
        suppressed = map(int, re.findall(r" suppressed=(\d+)", "\n".join(said)))
        self.assertEqual(written + sum(suppressed), malformed, "one line or one count for each")
        self.assert_no_secrets(log)

    def rate(self, count):
        """Rows a second, from the first to the last."""
        self.fleet.wait_for_rows(1, e2e.TIMEOUT_S)
        before, began = self.fleet.rows(), time.monotonic()
        self.wait_for_rows(count)
        return (count - before) / (time.monotonic() - began)

    def assert_no_secrets(self, log):
        topics = ("trawl.jobs", f"trawl.work.{self.fleet.job}", "trawl.results", "trawl.attempts")
        places = {topic: "\n".join(self.broker.committed(topic)) for topic in topics}
        places["log"] = log
        for path in self.dir.glob("*.sqlite*"):
            places[path.name] = path.read_bytes().decode(errors="replace")
        places["status"] = e2e.trawl(
            "status", self.fleet.job, "--db", self.fleet.db, "--json"
        ).stdout
        for place, text in places.items():
            self.assertTrue(text, place)
            for secret in self.SECRETS.values():
                self.assertNotIn(secret, text, place)


class SlownessTest(BucketCase):
    NEAR_S = 0.01

    def begin(self, count):
        pictures = [path.read_bytes() for path in e2e.sample_pictures()[:8]]

        def serve(key):
            time.sleep(self.NEAR_S)
            return 200, pictures[hash(key) % len(pictures)]

        keys = self.begin_bucket(count, Bucket(serve))
        self.fleet.run_collector()
        return keys

    def run_workers(self):
        for i in range(4):
            self.fleet.run(f"worker-{i}", "worker", f"--allow-root={e2e.SAMPLE}")

    def makespan(self, job, keys):
        self.fleet.job = job
        began = time.monotonic()
        self.produce()
        self.wait_for_rows(len(keys))
        took = time.monotonic() - began
        chaos.check_exactly_once(self.fleet, keys)
        return took

    def test_a_worker_whose_store_is_twenty_times_as_far_away(self):
        keys = self.begin(keys_of(4000))
        self.run_workers()
        self.makespan("warm-up", keys)
        clean = self.makespan("clean", keys)
        far = FarNetwork([self.store.port])
        self.addCleanup(far.close)
        far.latency = lambda: 19 * self.NEAR_S
        endpoint = f"http://127.0.0.1:{far.ports[0]}"
        self.assertEqual(self.fleet.retire("worker-0"), 0)
        self.fleet.run(
            "worker-0", "worker", f"--allow-root={e2e.SAMPLE}", "--s3-endpoint", endpoint
        )
        self.makespan("settle", keys)
        took = self.makespan("far", keys)
        print(f"{len(keys)} keys each once, {took / clean:.2f} of the time", flush=True)
        self.assertLessEqual(took, 1.5 * clean)


if __name__ == "__main__":
    unittest.main(verbosity=2)
