"""The fleet on a real broker and a real S3 server: a thousand keys, kill -9 in the middle."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import unittest

import s3_client
import trawl_e2e as e2e

KEYS = 1000


class FleetTest(e2e.FleetCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.s3 = s3_client.S3Server()
        cls.addClassCleanup(cls.s3.close)
        pictures = e2e.sample_pictures()
        cls.keys = [f"fleet/{i % 7}/{i:04} +%&ü.jpg" for i in range(KEYS)]
        for i, key in enumerate(cls.keys):
            cls.s3.put(key, pictures[i % len(pictures)])

    def setUp(self):
        super().setUp()
        # Few partitions keep the broker light.
        self.env |= self.s3.environment | {
            "TRAWL_WORK_PARTITIONS": "12",
            "TRAWL_TRANSACTION_TIMEOUT_MS": "10000",
            "TRAWL_DECODE_THREADS": "1",
        }

    def start_worker(self):
        return self.start("worker", "--allow-root", e2e.SAMPLE)

    def produce(self, *extra):
        return e2e.trawl(
            "producer",
            "s3://photos/fleet/",
            "--model",
            e2e.MODEL,
            "--job",
            self.job,
            *extra,
            env=self.env,
        )

    def status(self):
        done = e2e.trawl("status", self.job, "--db", self.db, "--json")
        return (
            json.loads(done.stdout)
            if done.returncode == 0
            else {"done": 0, "failed": 0, "state": "unknown"}
        )

    def test_three_workers_and_a_thousand_keys(self):
        collector = self.start("collector", "--db", self.db)
        workers = [self.start_worker() for _ in range(3)]
        produced = self.produce()
        self.assertEqual(produced.returncode, 0, produced.stderr)
        self.assertEqual(produced.stdout.strip(), self.job)
        self.assert_exactly_once(self.keys)
        self.assertEqual(self.status()["failed"], 0)
        e2e.wait_until(lambda: self.log_text().count("serves queue") == 3, "all workers are up")
        for process in (*workers, collector):
            process.send_signal(signal.SIGTERM)
        for process in (*workers, collector):
            self.assertEqual(process.wait(timeout=e2e.TIMEOUT_S), 0, self.log_text()[-3000:])
        self.assert_secret_is_nowhere()

    def assert_secret_is_nowhere(self):
        """Neither in what is logged and stored, nor on the topics."""
        secret = s3_client.SECRET_KEY
        for path in self.dir.iterdir():
            self.assertNotIn(secret.encode(), path.read_bytes(), path.name)
        for topic in ("trawl.jobs", f"trawl.work.{self.job}", "trawl.results"):
            records = self.broker.committed_records(topic)
            self.assertGreater(len(records), 0, topic)
            self.assertNotIn(secret, str(records), topic)

    def test_kill_9_of_workers_and_collector_changes_nothing(self):
        self.env["TRAWL_BATCH_KEYS"] = "8"
        collector = self.start("collector", "--db", self.db)
        workers = [self.start_worker() for _ in range(3)]
        self.assertEqual(self.produce().returncode, 0)
        e2e.wait_until(lambda: self.status()["done"] > 50, "the first results")
        workers[0].kill()
        collector.kill()
        collector.wait()
        self.start("collector", "--db", self.db)
        e2e.wait_until(lambda: self.status()["done"] > 300, "more results")
        workers[1].kill()
        self.start_worker()
        self.assert_exactly_once(self.keys)

    def test_a_second_producer_run_adds_nothing_and_another_spec_is_refused(self):
        self.start("collector", "--db", self.db)
        self.start_worker()
        self.assertEqual(self.produce().returncode, 0)
        self.assertEqual(self.produce().returncode, 0)
        self.assert_exactly_once(self.keys)
        self.assert_clean_error(self.produce("--top-k", "3"), 2, "top_k|top-k")

    def test_a_model_in_a_bucket_is_fetched_by_workers_that_have_no_folder(self):
        for file in e2e.MODEL.iterdir():
            self.s3.put(f"zoo/{file.name}", file)
        sha256 = hashlib.sha256((e2e.MODEL / "sample.onnx").read_bytes()).hexdigest()
        model = ("--model", "s3://photos/zoo/sample.onnx", "--model-sha256")
        self.start("collector", "--db", self.db)
        for number in range(2):
            self.env |= {"TRAWL_MODEL_CACHE": str(self.dir / f"models-{number}")}
            self.start("worker", "--allow-bucket", "photos")
        source = ("producer", "s3://photos/fleet/", "--start-after", self.keys[-100])
        wrong = e2e.trawl(*source, *model, "0" * 64, "--job", "wrong", env=self.env)
        self.assert_clean_error(wrong, 2, "its sha256 is [0-9a-f]{64}, not 0{64}")
        done = e2e.trawl(*source, *model, sha256, "--job", self.job, env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        after = self.keys[-100].encode()
        self.assert_exactly_once([key for key in self.keys if key.encode() > after])
        failures = e2e.query(
            self.db, "SELECT key, code, message FROM failures WHERE job = ?", self.job
        )
        self.assertEqual(failures, [])

    def test_a_worker_reads_nothing_outside_its_roots(self):
        self.start("collector", "--db", self.db)
        self.start_worker()
        outside = self.dir / "outside"
        outside.mkdir()
        (outside / "picture.jpg").write_bytes(e2e.sample_pictures()[0].read_bytes())
        produced = e2e.trawl(
            "producer", outside, "--model", e2e.MODEL, "--job", self.job, env=self.env
        )
        self.assertEqual(produced.returncode, 0, produced.stderr)
        waited = e2e.trawl("status", self.job, "--db", self.db, "--wait")
        self.assertEqual(waited.returncode, 0, waited.stderr)
        failures = e2e.query(
            self.db, "SELECT key, code, message FROM failures WHERE job = ?", self.job
        )
        self.assertEqual([row[:2] for row in failures], [("picture.jpg", "forbidden")])
        self.assertIn("allow-root", failures[0][2])

    def test_a_broker_whose_machine_is_gone_is_missed_soon(self):
        # With --core-dumps its descriptors may be looked at, by its own user, too.
        collector = self.start("collector", "--db", self.db, "--core-dumps")
        e2e.wait_until(
            lambda: self.probed_connections(collector), "connections that the kernel looks after"
        )

    def probed_connections(self, process):
        """Its connections to the broker, if each that is idle is probed within ten seconds: the
        kernel's timer 2, in hundredths of a second."""
        lines = pathlib.Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in lines]
        inodes = self.open_files(process)
        broker = f"{self.broker.port:04X}"
        timers = [
            row[5].split(":")
            for row in rows
            if row[2].endswith(f":{broker}") and f"socket:[{row[9]}]" in inodes
        ]
        return timers and all(kind == "02" and int(left, 16) <= 1000 for kind, left in timers)

    def open_files(self, process):
        """What its descriptors stand for; it may close any of them while they are read."""
        names = set()
        for descriptor in os.listdir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                names.add(os.readlink(f"/proc/{process.pid}/fd/{descriptor}"))
        return names

    def test_a_malformed_message_is_one_failure_and_the_partition_goes_on(self):
        self.start("collector", "--db", self.db)
        self.assertEqual(self.produce().returncode, 0)
        topic = f"trawl.work.{self.job}"
        e2e.subprocess.run(
            ["kcat", "-P", "-b", self.broker.address, "-t", topic, "-p", "0"],
            input=b"{not json\n",
            check=True,
            timeout=e2e.TIMEOUT_S,
        )
        self.start_worker()
        self.assert_exactly_once(self.keys)
        e2e.wait_until(
            lambda: any(
                topic in value
                for _, value in self.broker.committed_records("trawl.results")
                if json.loads(value)["job"] != self.job
            ),
            "the failure record",
        )


if __name__ == "__main__":
    unittest.main(verbosity=2)
