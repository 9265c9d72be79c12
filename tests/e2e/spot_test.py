"""A worker on an instance that is taken back: it hears of that in time, and ends as at a SIGTERM.

The metadata service is instance_metadata.py. Pictures come from a store that a test holds, so that
work is in hand when the notice comes.
"""

import signal
import time
import unittest

import trawl_e2e as e2e
from instance_metadata import InstanceMetadata
from slow_store import SlowStore

KEYS, SERVED = 1000, 200
NOTICE = {"action": "terminate", "time": "2026-11-22T08:22:00Z"}


class SpotTest(e2e.FleetCase):
    def begin(self, address):
        """A worker with that metadata service, in the midst of a job."""
        self.store = SlowStore()
        self.addCleanup(self.store.close)
        self.store.holds = lambda key: len(self.store.asked) > SERVED
        self.env |= self.store.environment
        manifest = self.dir / "keys.txt"
        self.keys = self.store.write_manifest(manifest, KEYS)
        done = e2e.trawl(
            *("producer", self.store.address, "--manifest", manifest),
            *("--model", e2e.MODEL, "--job", self.job),
            env=self.env,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.start("collector", "--db", self.db)
        self.env |= {"TRAWL_SPOT_NOTICE": "ec2", "AWS_EC2_METADATA_SERVICE_ENDPOINT": address}
        worker = self.start_worker()
        rows = "SELECT 1 FROM objects LIMIT 1"
        e2e.wait_until(lambda: e2e.query_or_nothing(self.db, rows), "a result")
        e2e.wait_until(lambda: len(self.store.asked) > SERVED, "downloads")
        return worker

    def start_worker(self):
        roots = (f"--allow-root={root}" for root in (e2e.SAMPLE, self.store.address))
        return self.start("worker", *roots)

    def start_service(self, port=0):
        service = InstanceMetadata(port)
        self.addCleanup(service.close)
        return service

    def give_notice(self, service):
        """Returns when the worker has begun to drain, and after how many seconds that was."""
        began = time.monotonic()
        service.notice = NOTICE
        e2e.wait_until(lambda: " draining" in self.log_text(), "the drain")
        return time.monotonic() - began

    def lines_with(self, text):
        return [line for line in self.log_text().splitlines() if text in line]

    def test_a_notice_drains_a_worker_and_another_one_does_the_rest(self):
        service = self.start_service()
        worker = self.begin(service.address)
        drains_s = self.give_notice(service)
        began = time.monotonic() - drains_s
        # Whoever looks after the machine has heard of it, too. A second signal would be the end.
        worker.send_signal(signal.SIGTERM)
        time.sleep(2)
        self.assertIsNone(worker.poll(), self.log_text()[-3000:])
        self.store.release.set()
        self.assertEqual(worker.wait(timeout=e2e.TIMEOUT_S), 0, self.log_text()[-3000:])
        ends_s = time.monotonic() - began
        [said] = self.lines_with("about to be taken back")
        self.assertIn("action=terminate time=2026-11-22T08:22:00Z", said)
        self.assertEqual(service.refused, [], "requests without a session")
        self.assertLess(len(self.store.asked), KEYS, "work is left")
        self.env["TRAWL_SPOT_NOTICE"] = "off"
        self.start_worker()
        self.assert_exactly_once(self.keys)
        print(f"{KEYS} keys each once, drains {drains_s:.1f} s after the notice", end=", ")
        print(f"has ended after {ends_s:.1f} s", flush=True)

    def test_the_second_signal_after_a_notice_ends_it_at_once(self):
        service = self.start_service()
        worker = self.begin(service.address)
        self.give_notice(service)

        def ends():
            worker.send_signal(signal.SIGTERM)
            return worker.poll() is not None

        e2e.wait_until(ends, "the end", pause=0.5)
        self.assertEqual(worker.returncode, 130)

    def test_a_service_that_does_not_answer_ends_no_worker_and_is_asked_again(self):
        port = e2e.free_port(1)
        worker = self.begin(f"http://127.0.0.1:{port}")
        e2e.wait_until(lambda: self.lines_with("a spot notice would not be seen"), "the warning")
        self.store.release.set()
        self.assert_exactly_once(self.keys)
        self.assertIsNone(worker.poll())
        self.give_notice(self.start_service(port))
        self.assertEqual(worker.wait(timeout=e2e.TIMEOUT_S), 0, self.log_text()[-3000:])
        self.assertEqual(len(self.lines_with("a spot notice would not be seen")), 1)

    def test_an_address_that_is_none_is_refused_at_once(self):
        done = e2e.trawl(
            *("worker", "--spot-notice", "ec2"),
            env={**self.env, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "metadata"},
        )
        self.assert_clean_error(done, 2, "AWS_EC2_METADATA_SERVICE_ENDPOINT.*not an http")


if __name__ == "__main__":
    unittest.main(verbosity=2)
