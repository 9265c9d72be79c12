"""A test of a fleet that is broken while it works: its broker, its job, its faults, and its end."""

import os
import random
import threading
import time

import chaos
import trawl_e2e as e2e

SEED = int(os.environ.get("TRAWL_CHAOS_SEED", str(random.SystemRandom().randrange(1 << 32))))
# Without a new row, however much is broken: the group waits for its dead member, readers for a dead
# writer's transaction, and a broker takes 10 s to come up; on a machine that has other work, more.
STUCK_S = 240
OUTAGE_S = int(os.environ.get("TRAWL_CHAOS_OUTAGE_S", "10"))  # how long what is down stays down


def keys_of(default):
    return int(os.environ.get("TRAWL_CHAOS_KEYS", default))


def faults_of(default):
    return int(os.environ.get("TRAWL_CHAOS_FAULTS", default))


class ChaosCase(e2e.EndToEndTest):
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
        self.producer = None
        self.met = None  # of the faults of due_faults: those that met a job at work
        self.fleet = self.make_fleet()

    def make_fleet(self, executable=None):
        job = self.id().rsplit(".", 1)[-1].removeprefix("test_")[:40]
        fleet = chaos.Fleet(self.dir, self.broker, job, executable)
        self.addCleanup(fleet.stop)
        return fleet

    def begin(self, keys, workers=4):
        """A job of so many keys, enqueued, with everybody at work. Returns the keys."""
        names = self.begin_to_enqueue(keys, workers)
        self.end_enqueueing()
        return names

    def begin_to_enqueue(self, keys, workers=4, attempts=1):
        """The same, while a producer still enqueues them; `finish` waits for it. `attempts`: its
        lives, where what breaks may end it as well, and people would start it again."""
        names = chaos.make_bucket(self.bucket, keys)
        self.fleet.environment["TRAWL_LIST_PAGE_KEYS"] = str(min(1000, max(200, keys // 20)))
        self.fleet.run_collector()
        self.fleet.run_workers(workers, [e2e.SAMPLE, self.bucket])
        self.producer = threading.Thread(target=self._produce, args=[attempts], daemon=True)
        self.producer.start()
        return names

    def _produce(self, attempts):
        self.produced = self.fleet.produce(self.bucket, attempts=attempts)

    def end_enqueueing(self):
        self.producer.join()
        self.assertEqual(self.produced.returncode, 0, self.produced.stderr)

    def wait_for_rows(self, count, job=None):
        """As long as any come."""
        rows, since = -1, time.monotonic()
        while rows < count:
            now = time.monotonic()
            if self.fleet.rows(job) != rows:
                rows, since = self.fleet.rows(job), now
            elif now - since > STUCK_S:
                self.fail(f"no new row for {STUCK_S} s; {rows} of {count}\n{self.fleet.tail()}")
            time.sleep(0.1)

    def finish(self, keys, failures=None, faults=0):
        self.wait_for_rows(len(keys))
        if self.producer:
            self.end_enqueueing()
        chaos.check_exactly_once(self.fleet, keys, failures)
        if self.met is not None:
            self.assertGreater(self.met, 0, "it was over before the first fault: too few keys")
        met = "" if self.met is None else f" ({self.met} before the last row)"
        print(f"{len(keys)} keys each once, {faults} faults{met},", end=" ")
        print(f"no row for {self.fleet.longest_stall_s:.0f} s at most", flush=True)

    def meet_at_work(self, keys, rows):
        """Waits for so many rows of the job; a fault that comes then breaks something."""
        self.wait_for_rows(rows)
        self.assertLess(self.fleet.rows(), len(keys), "it is over before its fault: too few keys")

    def due_faults(self, keys, count):
        """Yields once for each fault, when it is due: all over the job, every other one right
        behind the one before, so that it meets a fleet that has not recovered."""
        self.met = 0
        for i in range(count):
            if i % 2 == 0:
                self.wait_for_rows(len(keys) * (i + 1) // (count + 2))
            time.sleep(self.random.uniform(0.2, 1.5))
            self.met += self.fleet.rows() < len(keys)
            yield i
