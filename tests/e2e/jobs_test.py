"""Looking after jobs: verify, repair, retry, pause, resume, cancel.

Of trawl run and of a fleet on a real broker. The oracle is the test's own keys: what was deleted,
broken or stopped on purpose is what the commands must name.
"""

import json
import shutil
import signal
import sqlite3
import unittest

import trawl_e2e as e2e
from slow_store import SlowStore


def execute(db, statement, *parameters):
    connection = sqlite3.connect(db, timeout=30)
    with connection:
        connection.execute(statement, parameters)
    connection.close()


class JobsTest(e2e.EndToEndTest):
    """What holds of every job, wherever it runs. Subclasses say how to run and to reach one."""

    def setUp(self):
        super().setUp()
        self.job = self.id().rsplit(".", 1)[-1].removeprefix("test_")
        self.env = {}

    def write_pictures(self, count):
        """A folder of pictures; returns their keys."""
        self.pictures = self.dir / "pictures"
        self.pictures.mkdir()
        good = e2e.sample_pictures()
        keys = [f"{i:03} +%&ü.jpg" for i in range(count)]
        for i, key in enumerate(keys):
            shutil.copy(good[i % len(good)], self.pictures / key)
        return keys

    def command(self, *arguments, code=0):
        done = e2e.trawl(*arguments, self.job, "--db", self.db, env=self.env)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def verify(self, code):
        """The summary and the findings."""
        done = e2e.trawl("verify", self.job, "--db", self.db, "--json", env=self.env)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        summary, *findings = map(json.loads, done.stdout.splitlines())
        self.assertEqual(summary["agrees"], code == 0)
        return summary, findings

    def state(self):
        done = e2e.trawl("status", self.job, "--db", self.db, "--json")
        return json.loads(done.stdout)["state"] if done.returncode == 0 else "unknown"

    def delete_rows(self, *keys):
        row = (
            "(SELECT o.id FROM objects o JOIN jobs j ON j.id = o.job_id WHERE job = ? AND key = ?)"
        )
        for key in keys:
            execute(self.db, f"DELETE FROM predictions WHERE object_id = {row}", self.job, key)
            execute(self.db, f"DELETE FROM objects WHERE id = {row}", self.job, key)

    def failures(self):
        return dict(e2e.query(self.db, "SELECT key, code FROM failures WHERE job = ?", self.job))

    def attempts(self):
        rows = "SELECT key, attempt FROM objects WHERE job_id = (SELECT id FROM jobs WHERE job = ?)"
        return dict(e2e.query(self.db, rows, self.job))

    def check_lost_rows(self, keys, work):
        """`work` has the job worked on until it is complete."""
        work()
        summary, findings = self.verify(0)
        self.assertEqual((summary["state"], findings), ("complete", []))
        self.assertEqual(summary["enqueued"], summary["database"])
        self.delete_rows(keys[5], keys[17])
        summary, findings = self.verify(1)
        self.assertEqual(summary["state"], "incomplete")
        self.assertEqual(
            sorted((f["finding"], f["key"]) for f in findings),
            [("missing", keys[5]), ("missing", keys[17])],
        )
        self.assertIn("2 objects enqueued again as attempt 2", self.command("repair").stdout)
        work()
        self.verify(0)
        self.assert_each_key_once(self.job, keys)
        self.assertEqual({k for k, n in self.attempts().items() if n == 2}, {keys[5], keys[17]})
        self.assertIn("nothing is missing", self.command("repair").stdout)

    def check_retry(self, keys, work):
        for key in keys[:3]:
            (self.pictures / key).write_bytes(b"<html>no picture</html>")
        (self.pictures / keys[3]).write_bytes(b"\xff\xd8\xff\xe0 cut")
        work()
        self.assertEqual(
            self.failures(),
            dict.fromkeys(keys[:3], "not_an_image") | {keys[3]: "truncated"},
        )
        for key in keys[:2]:  # mended: its size is another now
            shutil.copy(e2e.sample_pictures()[0], self.pictures / key)
        done = e2e.trawl(
            *("retry", self.job, "--failed", "--code", "not_an_image", "--db", self.db),
            env=self.env,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 objects enqueued again as attempt 2", done.stdout)
        work()
        self.assertEqual(self.failures(), {keys[2]: "not_an_image", keys[3]: "truncated"})
        self.assertEqual(self.attempts()[keys[2]], 2)
        self.assertEqual(self.attempts()[keys[3]], 1)
        self.assert_each_key_once(self.job, keys)
        self.verify(0)


class RunJobsTest(JobsTest):
    """Jobs of trawl run: the log lies beside the database."""

    def arguments(self):
        return (
            *("run", *self.source, "--model", e2e.MODEL, "--db", self.db, "--job", self.job),
            *("--batch-keys", "4", "--collect-rows", "8", "--sessions", "1"),
        )

    def write_pictures(self, count):
        keys = super().write_pictures(count)
        self.source = (self.pictures,)
        return keys

    def run_job(self, *extra):
        return e2e.trawl(*self.arguments(), *extra, env=self.env)

    def work(self):
        done = self.run_job()
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assertEqual(self.state(), "complete")

    def start_and_hold(self):
        """A run of 200 objects of which some are done, and the others' store waits for `release`.
        Returns the process, and the keys."""
        self.store = SlowStore()
        self.addCleanup(self.store.close)
        self.store.holds = lambda key: int(key.split(".")[0]) >= 40
        self.env = self.store.environment
        manifest = self.dir / "keys.txt"
        keys = self.store.write_manifest(manifest, 200)
        self.source = (self.store.address, "--manifest", manifest)
        process = self.start()
        rows = "SELECT 1 FROM objects LIMIT 1"
        e2e.wait_until(lambda: e2e.query_or_nothing(self.db, rows), "a result")
        return process, keys

    def start(self):
        with open(self.dir / "log.txt", "wb") as log:
            process = e2e.start(*self.arguments(), env=self.env, log=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def stop_half_way(self):
        """A run that is killed with some of its objects done and some not."""
        process, keys = self.start_and_hold()
        process.kill()
        process.wait()
        return keys

    def wait_until_it_says(self, text):
        log = self.dir / "log.txt"
        e2e.wait_until(lambda: text in log.read_text(), text)

    def test_lost_rows_are_named_and_repaired(self):
        self.check_lost_rows(self.write_pictures(60), self.work)

    def test_failures_are_retried_by_code(self):
        self.check_retry(self.write_pictures(20), self.work)

    def test_a_cancelled_job_ends_as_failures_and_can_be_taken_up_again(self):
        keys = self.stop_half_way()
        self.assertIn("is cancelled", self.command("cancel").stdout)
        self.assertEqual(self.state(), "cancelling")
        self.assert_clean_error(
            e2e.trawl("resume", self.job, "--db", self.db), 2, "is cancelled; trawl retry"
        )
        done = self.run_job()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("the job is cancelled", done.stderr)
        self.assertEqual(self.state(), "cancelled")
        cancelled = self.failures()
        self.assertEqual(set(cancelled.values()), {"cancelled"})
        self.verify(0)
        self.store.release.set()
        e2e.trawl("retry", self.job, "--failed", "--code", "cancelled", "--db", self.db)
        self.work()
        self.assertEqual(self.failures(), {})
        self.assert_each_key_once(self.job, keys)
        self.verify(0)

    def test_a_job_that_nobody_works_on_is_stalled_after_ten_minutes(self):
        keys = self.stop_half_way()
        self.assertEqual(self.state(), "running")
        execute(
            self.db,
            "UPDATE jobs SET created_at_ms = created_at_ms - 600000, "
            "last_result_ms = last_result_ms - 600000",
        )
        self.assertEqual(self.state(), "stalled")
        self.assertIn("stalled (nothing has ended for ten minutes", self.command("status").stdout)
        self.store.release.set()
        self.work()
        self.assert_each_key_once(self.job, keys)

    def test_status_says_when_more_than_half_fails(self):
        self.write_pictures(3)
        self.work()
        told = "more than half: trawl results --failed says why"
        for done, failed, is_told in ((499, 500, False), (501, 501, False), (500, 501, True)):
            counts = f"UPDATE jobs SET done = {done}, failed = {failed}"
            execute(self.db, counts)
            self.assertEqual(told in self.command("status").stdout, is_told, counts)
            status = json.loads(self.command("status", "--json").stdout)
            self.assertEqual(status["mostly_fails"], is_told, counts)

    def test_a_paused_run_waits_until_it_is_resumed(self):
        keys = self.stop_half_way()
        self.command("pause")
        self.assertEqual(self.state(), "paused")
        process = self.start()
        self.wait_until_it_says("is paused: trawl resume")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=e2e.TIMEOUT_S), 130)
        self.assertEqual(self.state(), "paused")
        self.command("resume")
        self.store.release.set()
        self.work()
        self.assert_each_key_once(self.job, keys)

    def pause_at_work(self):
        """A run that was paused from another terminal, with work left; and the keys."""
        process, keys = self.start_and_hold()
        self.command("pause")
        self.wait_until_it_says("is paused: trawl resume")
        e2e.wait_until(lambda: self.state() == "paused", "the pause in the database")
        self.assertLess(len(self.attempts()), len(keys))
        self.store.release.set()
        return process, keys

    def test_a_run_at_work_is_paused_and_resumed_from_another_terminal(self):
        process, keys = self.pause_at_work()
        nobody = e2e.trawl("pause", "nobody", "--db", self.db)
        self.assert_clean_error(nobody, 4, "no such job 'nobody'")
        held = e2e.trawl("verify", self.job, "--db", self.db)
        self.assert_clean_error(held, 2, f"in use by process {process.pid}")
        self.command("resume")
        self.assertEqual(process.wait(timeout=e2e.TIMEOUT_S), 0)
        self.assert_each_key_once(self.job, keys)
        self.verify(0)

    def test_a_run_at_work_is_cancelled_from_another_terminal(self):
        process, _ = self.pause_at_work()
        self.command("cancel")
        self.assertEqual(process.wait(timeout=e2e.TIMEOUT_S), 1)
        self.assertEqual(self.state(), "cancelled")
        self.assertEqual(set(self.failures().values()), {"cancelled"})
        self.verify(0)

    def test_bad_input_gets_one_clear_line(self):
        self.write_pictures(3)
        self.work()
        for arguments, code, pattern in (
            (("verify", "nobody", "--db", self.db), 4, "no such job 'nobody'"),
            (("verify", self.job[:-1], "--db", self.db), 4, f"did you mean '{self.job}'"),
            (("pause", "nobody", "--db", self.db), 4, "no such job"),
            (("verify", self.job, "--db", self.dir / "none"), 2, "none.log.*brokers"),
            (("cancel", self.job, "--db", self.db), 2, "is complete: there is nothing to"),
            (("cancel", self.job), 2, "--db for a job of trawl run, --brokers for the fleet's"),
            (
                ("retry", self.job, "--failed", "--code", "timeot", "--db", self.db),
                2,
                "did you mean 'timeout'",
            ),
            (("retry", self.job, "--db", self.db), 2, "--failed is required"),
        ):
            with self.subTest(arguments=arguments):
                self.assert_clean_error(e2e.trawl(*arguments), code, pattern)


class FleetJobsTest(e2e.FleetCase, JobsTest):
    """Jobs of a fleet on a real broker."""

    def setUp(self):
        super().setUp()
        self.env |= {"TRAWL_WORK_PARTITIONS": "6", "TRAWL_BATCH_KEYS": "4"}

    def start_worker(self):
        return self.start("worker", "--allow-root", self.dir, "--allow-root", e2e.SAMPLE)

    def start_fleet(self):
        self.start("collector", "--db", self.db)
        return self.start_worker()

    def produce(self):
        done = e2e.trawl(
            *("producer", self.pictures, "--model", e2e.MODEL, "--job", self.job), env=self.env
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def wait(self):
        done = e2e.trawl("status", self.job, "--db", self.db, "--wait")
        self.assertEqual(done.returncode, 0, done.stderr + self.log_text()[-3000:])

    def test_lost_rows_are_named_and_repaired(self):
        keys = self.write_pictures(60)
        self.start_fleet()
        self.produce()
        self.check_lost_rows(keys, self.wait)

    def test_failures_are_retried_by_code(self):
        keys = self.write_pictures(20)
        worker = self.start_fleet()

        def work():
            self.produce()  # nothing new, the second time
            self.wait()

        self.check_retry(keys, work)
        self.assertIsNone(worker.poll())

    def test_a_paused_job_is_held_back_and_survives_its_workers(self):
        keys = self.write_pictures(60)
        self.start("collector", "--db", self.db)
        self.produce()
        e2e.wait_until(lambda: self.state() == "running", "the job in the database")
        self.command("pause")
        workers = [self.start_worker(), self.start_worker()]
        e2e.wait_until(lambda: "holding the work of a paused job" in self.log_text(), "holding")
        e2e.wait_until(lambda: self.log_text().count("serves queue") == 2, "both are up")
        workers[0].kill()
        workers[1].send_signal(signal.SIGTERM)
        self.assertEqual(workers[1].wait(timeout=e2e.TIMEOUT_S), 0)
        # Both have said so, or one of them twice; the third has yet to.
        held = self.log_text().count("holding the work")
        self.start_worker()
        e2e.wait_until(lambda: self.log_text().count("holding the work") > held, "holding again")
        e2e.wait_until(lambda: self.state() == "paused", "the pause in the database")
        self.assertEqual(self.attempts(), {})
        summary, findings = self.verify(1)
        self.assertEqual((summary["under_way"], findings), (60, []))
        self.assertIn("nothing is missing", self.command("repair").stdout)
        self.command("resume")
        self.wait()
        self.assert_each_key_once(self.job, keys)
        self.verify(0)

    def test_a_cancelled_job_ends_as_failures_and_can_be_taken_up_again(self):
        keys = self.write_pictures(60)
        self.start("collector", "--db", self.db)
        self.produce()
        e2e.wait_until(lambda: self.state() == "running", "the job in the database")
        self.command("cancel")
        worker = self.start_worker()
        self.wait()
        self.assertEqual(self.state(), "cancelled")
        self.assertEqual(self.failures(), dict.fromkeys(keys, "cancelled"))
        self.verify(0)
        e2e.trawl("retry", self.job, "--failed", "--db", self.db, env=self.env)
        self.wait()
        self.assertEqual(self.state(), "complete")
        self.assertEqual(self.failures(), {})
        self.assert_each_key_once(self.job, keys)
        self.verify(0)
        self.assertIsNone(worker.poll())

    def begin_on_slow_store(self, count, served=0, served_bytes=None):
        """A worker that has accepted everything, from a store that answers nobody yet, but for the
        first few keys, and those with other bytes than a picture's."""
        store = SlowStore()
        self.addCleanup(store.close)
        store.holds = lambda key: int(key.split(".")[0]) >= served
        if served_bytes:
            store.pictures = [served_bytes]
        self.env |= store.environment
        manifest = self.dir / "keys.txt"
        keys = store.write_manifest(manifest, count)
        done = e2e.trawl(
            *("producer", store.address, "--manifest", manifest),
            *("--model", e2e.MODEL, "--job", self.job),
            env=self.env,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.start("collector", "--db", self.db)
        roots = (f"--allow-root={root}" for root in (e2e.SAMPLE, store.address))
        worker = self.start("worker", *roots)
        e2e.wait_until(lambda: len(store.asked) >= 10, "downloads")
        return keys, store, worker

    def test_a_pause_holds_back_what_a_worker_has_accepted(self):
        keys, store, worker = self.begin_on_slow_store(200)
        self.command("pause")
        e2e.wait_until(lambda: "holding the work of a paused job" in self.log_text(), "holding")
        store.release.set()
        e2e.wait_until(lambda: self.state() == "paused", "the pause in the database")
        self.assertEqual(self.attempts(), {})
        self.command("resume")
        self.wait()
        self.assert_each_key_once(self.job, keys)
        self.verify(0)
        self.assertIsNone(worker.poll())

    def test_a_job_that_mostly_fails_is_paused_once(self):
        self.env["TRAWL_WORK_PARTITIONS"] = "1"  # first what is served, then what is held
        keys, store, worker = self.begin_on_slow_store(1300, 1200, b"<html>no picture</html>")
        e2e.wait_until(lambda: self.state() == "paused", "the pause")
        told = "a job is paused: too many of its objects fail"
        e2e.wait_until(lambda: told in self.log_text(), "the reason")
        self.assertIn("trawl resume lets the rest of it go on", self.command("status").stdout)
        self.command("resume")
        store.release.set()
        self.wait()
        self.assertEqual(self.failures(), dict.fromkeys(keys, "not_an_image"))
        self.assertEqual(self.log_text().count(told), 1)
        self.verify(0)
        self.assertIsNone(worker.poll())

    def test_a_cancelled_job_ends_without_waiting_for_its_store(self):
        keys, _, worker = self.begin_on_slow_store(200)
        self.command("cancel")
        self.wait()
        self.assertEqual(self.failures(), dict.fromkeys(keys, "cancelled"))
        self.verify(0)
        self.assertIsNone(worker.poll())


del JobsTest  # only what inherits from it is to run

if __name__ == "__main__":
    unittest.main(verbosity=2)
