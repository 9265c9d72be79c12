"""Listing once: producers on a real broker that are killed, doubled, stopped and run again.

The oracle is the test's own list of keys against what kcat reads from the work topic.
TRAWL_E2E_KEYS (of a manifest), TRAWL_E2E_S3_KEYS (of a bucket) and TRAWL_E2E_KILLS scale the tests
with kill -9 up (10^6 keys, 20 kills), and TRAWL_TEST_NODES=3 runs them on a cluster.
"""

import collections
import contextlib
import gzip
import hashlib
import json
import os
import random
import subprocess
import threading
import time
import unittest
import urllib.parse

import s3_client
import trawl_e2e as e2e

KEYS = int(os.environ.get("TRAWL_E2E_KEYS", "20000"))
KILLS = int(os.environ.get("TRAWL_E2E_KILLS", "6"))
S3_KEYS = int(os.environ.get("TRAWL_E2E_S3_KEYS", "4000"))  # each is put into a real server first
PAGE = min(1000, KEYS // 400)  # a page is a transaction: many, so that kills meet some
MAX_RSS_BYTES = 128 << 20


class Progress:
    """Follows the record of a job as it is committed."""

    def __init__(self, broker, job):
        self.objects = 0
        self.job = job
        self.kcat = subprocess.Popen(
            [
                *("kcat", "-C", "-u", "-q", "-b", broker.address, "-t", "trawl.jobs"),
                *("-o", "beginning", "-f", "%k\t%s\n", "-X", "isolation.level=read_committed"),
                *("-X", "fetch.wait.max.ms=5"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()

    def follow(self):
        for line in self.kcat.stdout:
            key, value = line.split("\t", 1)
            if key == self.job:
                self.objects = json.loads(value)["objects"]

    def close(self):
        self.kcat.kill()
        self.kcat.wait()
        self.thread.join()
        self.kcat.stdout.close()


class ProducerTest(e2e.EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.broker = e2e.Broker()
        cls.addClassCleanup(cls.broker.close)

    def setUp(self):
        super().setUp()
        self.job = self.id().rsplit(".", 1)[-1].removeprefix("test_")
        self.topic = f"trawl.work.{self.job}"
        self.env = {
            **self.broker.settings,
            "TRAWL_QUEUE": self.job,
            "TRAWL_WORK_PARTITIONS": "6",
            "TRAWL_LIST_PAGE_KEYS": str(PAGE),
            "TRAWL_BATCH_KEYS": str(max(1, PAGE // 2)),
        }

    def arguments(self, manifest):
        return (
            *("producer", "https://images.example/", "--manifest", manifest),
            *("--model", e2e.MODEL, "--job", self.job),
        )

    def measure(self, *arguments):
        """Runs to the end: exit code, standard error, and the most memory it had."""
        with open(self.dir / "stderr.txt", "w+") as stderr:
            process = e2e.start(*arguments, env=self.env, log=stderr)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            peak = 0  # not ru_maxrss, which counts what the parent had when it forked

            def ended():
                nonlocal peak
                with contextlib.suppress(OSError, ValueError):  # it has just ended
                    peak = max(peak, e2e.peak_bytes(process))
                return process.poll() is not None

            e2e.wait_until(ended, "the producer ends", timeout=3 * e2e.TIMEOUT_S)
            stderr.seek(0)
            return process.returncode, stderr.read(), peak

    def make_topics(self):
        other = self.env | {"TRAWL_QUEUE": "first"}
        arguments = [a if a != self.job else "first" for a in self.arguments("-")]
        self.assertEqual(e2e.trawl(*arguments, env=other, stdin="a.jpg\n").returncode, 0)

    def produce(self, keys):
        """A producer that reads its manifest from standard input, to its end."""
        return e2e.trawl(*self.arguments("-"), env=self.env, stdin="".join(f"{k}\n" for k in keys))

    def start_piped(self, keys):
        """As produce, but the pipe stays open behind `keys`."""
        process = subprocess.Popen(
            [e2e.TRAWL, *map(str, self.arguments("-"))],
            env=e2e.environment(self.env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.dispose, process)
        process.stdin.write("".join(f"{k}\n" for k in keys))
        process.stdin.flush()
        return process

    @staticmethod
    def dispose(process):
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def enqueued(self):
        """How many objects the job's record speaks of; 0 before there is one."""
        count = 0
        for key, value in self.records_or_nothing("trawl.jobs"):
            if key == self.job:
                count = json.loads(value)["objects"]
        return count

    def records_or_nothing(self, topic):
        try:
            return self.broker.committed_records(topic)
        except subprocess.CalledProcessError:
            return []  # the topic is not there yet

    def objects(self, isolation="read_committed"):
        """(batch, index, key) of every object on the work topic."""
        found = []
        for _, value in self.broker.committed_records(self.topic, isolation):
            batch = json.loads(value)
            found += [(batch["batch"], i, o["key"]) for i, o in enumerate(batch["objects"])]
        return found

    def assert_each_key_enqueued_once(self, keys):
        # The broker ends a transaction on each partition after it has told the producer.
        e2e.wait_until(
            lambda: len(self.objects()) >= len(keys), "the end of the last page", pause=1
        )
        e2e.wait_until(lambda: self.enqueued() >= len(keys), "the end of its account", pause=1)
        objects = self.objects()
        counts = collections.Counter(key for _, _, key in objects)
        self.assertEqual([k for k, n in counts.items() if n != 1][:5], [], "doubled keys")
        self.assertEqual(sorted(set(keys) - counts.keys())[:5], [], "missing keys")
        self.assertEqual(len(objects), len(keys))
        self.assertEqual(len({(batch, i) for batch, i, _ in objects}), len(keys), "identities")
        self.assertEqual(self.enqueued(), len(keys), "the job's own account")

    def write_inventory(self, keys):
        """An S3 Inventory of these keys in eight data files, laid out as S3 does."""
        (self.dir / "data").mkdir()
        (self.dir / "2026-01-01T00-00Z").mkdir()
        files = []
        size = -(-len(keys) // 8)
        for i in range(0, len(keys), size):
            rows = [f'"images","{urllib.parse.quote(key, "")}"\n' for key in keys[i : i + size]]
            packed = gzip.compress("".join(rows).encode(), 1)
            name = f"data/{i}.csv.gz"
            (self.dir / name).write_bytes(packed)
            md5 = hashlib.md5(packed).hexdigest()
            files.append({"key": name, "size": len(packed), "MD5checksum": md5})
        manifest = self.dir / "2026-01-01T00-00Z" / "manifest.json"
        schema = {"sourceBucket": "images", "fileFormat": "CSV", "fileSchema": "Bucket, Key"}
        manifest.write_text(json.dumps(schema | {"files": files}))
        return manifest

    def test_kill_9_while_it_reads_a_manifest(self):
        keys = [f"prefix {i % 13}/{i:07}.jpg" for i in range(KEYS)]
        manifest = self.dir / "keys.txt"
        manifest.write_text("".join(f"{key}\n" for key in keys))
        self.kill_and_run_again(keys, self.arguments(manifest))

    def test_kill_9_while_it_reads_an_inventory(self):
        keys = [f"prefix {i % 13}/ü+{i:07}.jpg" for i in range(KEYS)]
        manifest = self.write_inventory(keys)
        self.kill_and_run_again(
            keys, ("producer", "--manifest", manifest, "--model", e2e.MODEL, "--job", self.job)
        )

    def test_kill_9_while_it_lists_a_bucket_in_several_places(self):
        s3 = s3_client.S3Server()
        self.addCleanup(s3.close)
        # Nearly all in one folder, between others that have next to nothing.
        keys = [f"{'m/large' if i % 20 else f'{i % 13:02}'}/ü+{i:07}.jpg" for i in range(S3_KEYS)]
        s3.put_all(keys, b"x")
        self.env |= s3.environment | {"TRAWL_LIST_CONCURRENCY": "6"}
        self.kill_and_run_again(
            keys, ("producer", "s3://photos/", "--model", e2e.MODEL, "--job", self.job)
        )
        places = [
            len(json.loads(value)["cursor"].get("left", []))
            for key, value in self.broker.committed_records("trawl.jobs")
            if key == self.job
        ]
        self.assertGreater(max(places), 2, "it was listed in one place")
        self.assertLessEqual(max(places), 12)

    def kill_and_run_again(self, keys, arguments):
        seed = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
        print("seed", seed)
        moments = random.Random(seed)
        count = len(keys)
        self.make_topics()
        progress = Progress(self.broker, self.job)
        self.addCleanup(progress.close)
        for kill in range(KILLS):
            # Somewhere in the next stretch, between two pages or in the midst of one; however late
            # it meets the one before, there are keys left.
            stretch = (count - progress.objects) // (2 * (KILLS - kill) + 1)
            target = progress.objects + moments.randint(1, max(1, stretch))
            process = e2e.start(*arguments, env=self.env)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            e2e.wait_until(
                lambda: progress.objects >= target or process.poll() is not None,
                f"listing {target} keys",
                pause=0.001,
            )
            time.sleep(moments.uniform(0, 0.1))  # any moment of a transaction will do
            process.kill()
            process.wait()
        self.assertLess(self.enqueued(), count, "killed too late")
        code, stderr, max_rss_bytes = self.measure(*arguments)
        self.assertEqual(code, 0, stderr)
        self.assertRegex(stderr, rf"went on behind \d+ objects; \d+ more enqueued, {count} in")
        self.assert_each_key_enqueued_once(keys)
        # What a killed producer had begun and not committed was listed again: a page a kill.
        begun = len(self.objects("read_uncommitted"))
        self.assertLessEqual(begun - count, KILLS * PAGE)
        print(f"{count} keys, {KILLS} kills, {begun - count} listed again,", end=" ")
        print(f"{max_rss_bytes >> 20} MiB", flush=True)
        self.assertGreater(max_rss_bytes, 1 << 20, "never measured")
        self.assertLess(max_rss_bytes, MAX_RSS_BYTES)

    def test_a_second_producer_of_a_job_and_the_first_do_not_both_go_on(self):
        keys = [f"{i:04}.jpg" for i in range(10 * PAGE)]
        first = self.start_piped(keys[: 3 * PAGE])
        e2e.wait_until(lambda: self.enqueued() == 3 * PAGE, "three pages")
        second = self.produce(keys)
        self.assertEqual(second.returncode, 0, second.stderr)
        stdout, stderr = first.communicate("".join(f"{k}\n" for k in keys[3 * PAGE :]))
        self.assertEqual(first.returncode, 2, stdout + stderr)
        self.assertIn("another producer of this job took over", stderr)
        self.assert_each_key_enqueued_once(keys)

    def test_a_finished_job_run_again_adds_nothing_and_says_so(self):
        keys = [f"{i:04}.jpg" for i in range(2 * PAGE)]
        self.assertEqual(self.produce(keys).returncode, 0)
        again = self.produce(keys)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("nothing was added", again.stderr)
        self.assert_each_key_enqueued_once(keys)

    def test_a_job_killed_at_37_percent_gets_the_missing_63(self):
        keys = [f"{i:05}.jpg" for i in range(100 * PAGE)]
        process = self.start_piped(keys[: 37 * PAGE])
        e2e.wait_until(lambda: self.enqueued() == 37 * PAGE, "37 pages")
        process.kill()
        process.wait()
        done = self.produce(keys)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"went on behind {37 * PAGE} objects; {63 * PAGE} more enqueued", done.stderr)
        self.assert_each_key_enqueued_once(keys)

    def test_a_paused_listing_waits_and_goes_on(self):
        keys = [f"{i:04}.jpg" for i in range(10 * PAGE)]
        process = self.start_piped(keys[: 3 * PAGE])
        e2e.wait_until(lambda: self.enqueued() == 3 * PAGE, "three pages")
        paused = e2e.trawl("pause", self.job, env=self.env)
        self.assertEqual(paused.returncode, 0, paused.stderr)
        self.assertIn("is paused", paused.stdout)
        process.stdin.write("".join(f"{k}\n" for k in keys[3 * PAGE :]))
        process.stdin.flush()
        # At most the page that it was gathering goes through.
        self.read_until(process, "waiting for trawl resume")
        self.assertLessEqual(self.enqueued(), 4 * PAGE)
        self.assertEqual(e2e.trawl("resume", self.job, env=self.env).returncode, 0)
        process.stdin.close()
        self.assertEqual(process.wait(timeout=e2e.TIMEOUT_S), 0)
        self.assert_each_key_enqueued_once(keys)

    def read_until(self, process, text):
        """Reads its standard error up to a line with `text`."""
        for line in process.stderr:
            if text in line:
                return
        self.fail(f"{text}: never said")

    def test_a_cancelled_listing_ends_and_is_not_taken_up_by_mistake(self):
        keys = [f"{i:04}.jpg" for i in range(10 * PAGE)]
        process = self.start_piped(keys[: 3 * PAGE])
        e2e.wait_until(lambda: self.enqueued() == 3 * PAGE, "three pages")
        self.assertEqual(e2e.trawl("cancel", self.job, env=self.env).returncode, 0)
        _, stderr = process.communicate("".join(f"{k}\n" for k in keys[3 * PAGE :]))
        self.assertEqual(process.returncode, 2)
        self.assertIn(f"job {self.job} is cancelled", stderr)
        self.assert_clean_error(self.produce(keys), 2, "is cancelled; trawl retry")
        self.assertEqual(self.enqueued(), 3 * PAGE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
