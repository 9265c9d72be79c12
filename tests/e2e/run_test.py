"""`trawl run` as users run it: the sample, kill -9, and all that can be wrong with the input."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import unittest

import trawl_e2e as e2e
from folder_server import FolderServer
from slow_store import SlowStore


class RunTest(e2e.EndToEndTest):
    def run_sample(self, model=e2e.MODEL, job="sample"):
        return e2e.trawl("run", e2e.BUCKET, "--model", model, "--db", self.db, "--job", job)

    def test_every_picture_has_a_row_and_the_broken_ones_are_failures(self):
        done = self.run_sample()
        self.assertEqual(done.returncode, 1, done.stderr)
        truth = e2e.truth()
        self.assert_each_key_once("sample", truth)
        failed = {
            key for (key,) in e2e.query(self.db, "SELECT key FROM failures WHERE job = 'sample'")
        }
        self.assertEqual(failed, e2e.broken_keys())
        status = json.loads(e2e.trawl("status", "sample", "--db", self.db, "--json").stdout)
        self.assertEqual(
            (status["state"], status["enqueued"], status["done"], status["failed"]),
            ("complete", len(truth), len(truth) - len(failed), len(failed)),
        )

    def test_decodes_in_a_sandbox_and_says_so(self):
        command = ("run", e2e.BUCKET, "--model", e2e.MODEL, "--db", self.db, "--log-level", "info")
        self.assertIn("decoders are sandboxed", e2e.trawl(*command, "--job", "boxed").stderr)
        plain = e2e.trawl(*command, "--job", "plain", "--sandbox", "off")
        self.assertIn("decoding in the worker's own process", plain.stderr)
        rows = "SELECT key, code, message FROM failures WHERE job = '{}' ORDER BY key"
        self.assertEqual(
            e2e.query(self.db, rows.format("boxed")), e2e.query(self.db, rows.format("plain"))
        )
        refused = e2e.trawl(*command, "--job", "none", "--sandbox", "off", "--require-sandbox")
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("require-sandbox", refused.stderr)

    def test_a_finished_job_runs_nothing_again(self):
        self.run_sample()
        before = e2e.query(self.db, "SELECT count(*) FROM objects")
        again = self.run_sample()
        self.assertEqual(again.returncode, 1, again.stderr)
        self.assertEqual(e2e.query(self.db, "SELECT count(*) FROM objects"), before)

    def test_results_come_as_table_json_and_csv(self):
        self.run_sample()
        key = next(key for key, name in e2e.truth().items() if name != "broken")
        table = e2e.trawl("results", "sample", "--db", self.db).stdout
        self.assertIn(key, table)
        rows = [
            json.loads(line)
            for line in e2e.trawl(
                "results", "sample", "--db", self.db, "--json"
            ).stdout.splitlines()
        ]
        self.assertEqual({row["key"] for row in rows}, set(e2e.truth()))
        good = next(row for row in rows if row["key"] == key)
        probabilities = [p["probability"] for p in good["predictions"]]
        self.assertEqual(len(probabilities), 5)
        self.assertEqual(probabilities, sorted(probabilities, reverse=True))
        csv = e2e.trawl(
            "results", "sample", "--db", self.db, "--csv", "--failed"
        ).stdout.splitlines()
        self.assertEqual(len(csv), 1 + len(e2e.broken_keys()))
        self.assertEqual(csv[0], "key,status,rank,class,label,probability,error_code,error_message")

    def test_kill_9_at_any_moment_and_the_same_command_again(self):
        seed = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
        print("seed", seed)
        moments = random.Random(seed)
        copies = [f"copy-{i}" for i in range(10)]  # seconds of work, so that kills find some
        for copy in copies:
            shutil.copytree(e2e.BUCKET, self.dir / "bucket" / copy)
        keys = [f"{copy}/{key}" for copy in copies for key in e2e.truth()]
        command = (
            *("run", self.dir / "bucket", "--model", e2e.MODEL, "--db", self.db, "--job", "killed"),
            *("--batch-keys", 8, "--list-page-keys", 100, "--sessions", 1, "--decode-threads", 1),
        )
        kills = 0
        while kills < 8:
            process = e2e.start(*command)
            try:
                process.wait(timeout=moments.uniform(0.02, 0.4))
                break  # a fast machine
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
        self.assertGreater(kills, 0)
        done = e2e.trawl(*command)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_each_key_once("killed", keys)
        self.assertEqual(e2e.query(self.db, "PRAGMA integrity_check"), [("ok",)])

    def test_a_drained_run_is_interrupted_and_goes_on(self):
        command = ("run", e2e.BUCKET, "--model", e2e.MODEL, "--db", self.db, "--list-page-keys", 5)
        process = e2e.start(*command)
        progress = "SELECT job FROM job_progress WHERE enqueued > 0"
        e2e.wait_until(
            lambda: process.poll() is not None or e2e.query_or_nothing(self.db, progress),
            "the first page is in the database",
        )
        process.send_signal(signal.SIGTERM)
        # Else the job was faster than the signal.
        interrupted = process.wait(timeout=e2e.TIMEOUT_S) == 130
        [(job,)] = e2e.query(self.db, progress)
        again = e2e.trawl(*command)
        self.assertEqual(again.returncode, 1, again.stderr)
        if interrupted:
            self.assertIn(f"Going on with unfinished job {job}", again.stderr)
        self.assert_each_key_once(job, e2e.truth())

    def test_a_second_signal_ends_a_stuck_process_at_once(self):
        process = self.start_stuck(
            *("--anonymous", "--drain-timeout-ms", "3600000"),
            env={"TRAWL_FIRST_BYTE_TIMEOUT_MS": "3600000"},
        )
        process.send_signal(signal.SIGINT)
        e2e.wait_until(lambda: not self.is_pending(process, signal.SIGINT), "the first signal")
        process.send_signal(signal.SIGINT)  # two at once would be one
        self.assertEqual(process.wait(timeout=e2e.TIMEOUT_S), 130)

    @staticmethod
    def is_pending(process, number):
        """It was sent, and not yet received."""
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        [pending] = [line for line in status.splitlines() if line.startswith("ShdPnd:")]
        return bool(int(pending.split()[1], 16) >> (number - 1) & 1)


class SourceTest(e2e.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.pictures = e2e.sample_pictures()[:20]
        self.keys = [p.relative_to(e2e.BUCKET).as_posix() for p in self.pictures]

    def run_job(self, *arguments, stdin=None):
        return e2e.trawl(
            "run", *arguments, "--model", e2e.MODEL, "--db", self.db, "--job", "j", stdin=stdin
        )

    def test_a_manifest_of_keys_below_a_folder(self):
        manifest = self.dir / "keys.txt"
        manifest.write_text("\r\n".join(self.keys + ["not/there.jpg", self.keys[0]]) + "\n")
        done = self.run_job(e2e.BUCKET, "--manifest", manifest)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_each_key_once("j", self.keys + ["not/there.jpg"])
        self.assertEqual(
            e2e.query(self.db, "SELECT key, code FROM failures"), [("not/there.jpg", "not_found")]
        )

    def test_a_manifest_on_standard_input_with_absolute_paths(self):
        paths = [str(p) for p in self.pictures]
        done = self.run_job("--manifest", "-", stdin="\n".join(paths))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", paths)

    def test_a_jsonl_manifest_whose_size_is_wrong(self):
        manifest = self.dir / "keys.jsonl"
        lines = [{"key": key, "size": (e2e.BUCKET / key).stat().st_size} for key in self.keys]
        lines[3]["size"] += 1
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = self.run_job(e2e.BUCKET, "--manifest", manifest)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_each_key_once("j", self.keys)
        self.assertEqual(
            [key for (key,) in e2e.query(self.db, "SELECT key FROM failures")], [self.keys[3]]
        )

    def test_a_manifest_that_comes_late_finds_no_trace_of_the_time_without_it(self):
        manifest = self.dir / "keys.txt"
        without = self.run_job(e2e.BUCKET, "--manifest", manifest)
        self.assert_clean_error(without, 2, "no such file")
        manifest.write_text("\n".join(self.keys))
        done = self.run_job(e2e.BUCKET, "--manifest", manifest)
        self.assertNotIn("vanished", done.stderr)
        self.assert_each_key_once("j", self.keys)

    def test_an_http_base_with_a_manifest(self):
        page = "<!DOCTYPE html><html><body>please log in</body></html>"
        server = FolderServer(e2e.BUCKET, {"/page.jpg": page})
        self.addCleanup(server.close)
        manifest = self.dir / "keys.txt"
        manifest.write_text("\n".join(self.keys + ["gone.jpg", "page.jpg"]))
        done = self.run_job(server.address, "--manifest", manifest)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_each_key_once("j", self.keys + ["gone.jpg", "page.jpg"])
        self.assertEqual(
            sorted(e2e.query(self.db, "SELECT key, code FROM failures")),
            [("gone.jpg", "not_found"), ("page.jpg", "not_an_image")],
        )

    def test_odd_file_names(self):
        folder = self.dir / "odd"
        names = [
            "sp ace.jpg",
            "a+b%20&c.jpg",
            "ünï/日本.jpg",
            "new\nline.jpg",
            "-dash.jpg",
            "quote'\".jpg",
            "x" * 200 + ".jpg",
        ]
        for name, picture in zip(names, self.pictures):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(picture.read_bytes())
        done = self.run_job(folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", names)

    def test_an_empty_folder_is_a_finished_job(self):
        (self.dir / "empty").mkdir()
        done = self.run_job(self.dir / "empty")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no objects", done.stderr)

    def test_an_object_that_never_comes_is_one_failure_and_the_others_do_not_wait(self):
        store = SlowStore()
        self.addCleanup(store.close)
        manifest = self.dir / "keys.txt"
        keys = store.write_manifest(manifest, 100)
        store.holds = lambda key: key == keys[50]
        # Time enough for those that come, on a machine that has much else to do.
        limits = ("--first-byte-timeout-ms", "5000", "--download-attempts", "2")
        done = self.run_job(store.address, "--manifest", manifest, *limits)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_each_key_once("j", keys)
        self.assertEqual(
            e2e.query(self.db, "SELECT key, code FROM failures"), [(keys[50], "timeout")]
        )


class BadInputTest(e2e.EndToEndTest):
    def check(self, exit_code, pattern, *arguments, **options):
        self.assert_clean_error(e2e.trawl(*arguments, **options), exit_code, pattern)

    def run_with(self, exit_code, pattern, *extra, source=e2e.BUCKET, model=e2e.MODEL, db=None):
        self.check(
            exit_code, pattern, "run", source, "--model", model, "--db", db or self.db, *extra
        )

    def test_usage(self):
        self.check(2, "SOURCE or --manifest", "run", "--model", e2e.MODEL, "--db", self.db)
        self.check(2, "--model", "run", e2e.BUCKET, "--db", self.db)
        self.check(2, "--brokers", "worker")
        self.check(2, "subcommand is required")
        self.check(2, "unknown subcommand 'runn'; did you mean 'run'", "runn")
        self.run_with(2, "batch-size = 0: must lie between", "--batch-size", "0")
        self.run_with(2, "job", "--job", "no/slashes allowed")

    def test_a_csv_file_needs_a_column(self):
        for name in ("keys.csv", "keys.CSV.gz"):
            self.run_with(2, "--manifest-column has to say", "--manifest", self.dir / name)
        self.assertFalse(self.db.exists())

    def test_an_unknown_setting_in_the_file(self):
        config = self.dir / "trawl.yaml"
        config.write_text("batch-sise: 4\n")
        self.run_with(
            2,
            r"trawl.yaml:1: unknown setting 'batch-sise'; did you mean 'batch-size'\?",
            "--config",
            config,
        )

    def test_a_missing_source(self):
        self.run_with(2, "no such folder|does not exist|No such file", source=self.dir / "nowhere")

    def test_missing_and_wrong_models(self):
        self.run_with(2, "nowhere", model=self.dir / "nowhere")
        text = self.dir / "text.onnx"
        text.write_text("this is not a model")
        self.run_with(2, "text.onnx", model=text)
        cut = self.dir / "cut.onnx"
        cut.write_bytes(next(e2e.MODEL.glob("*.onnx")).read_bytes()[:-1000])
        self.run_with(2, "cut.onnx", model=cut)

    def test_a_wrong_sha256(self):
        package = self.dir / "model"
        package.mkdir()
        for path in e2e.MODEL.iterdir():
            (package / path.name).write_bytes(path.read_bytes())
        graph = next(package.glob("*.onnx")).name
        yaml = [
            line
            for line in (package / "model.yaml").read_text().splitlines()
            if not line.startswith("sha256")
        ]
        (package / "model.yaml").write_text(
            "\n".join(yaml + [f"sha256: {{{graph}: {'0' * 64}}}", ""])
        )
        self.run_with(2, "sha256|sha-256", model=package)

    def test_databases(self):
        self.run_with(2, "nowhere", db=self.dir / "nowhere" / "results.sqlite")
        foreign = self.dir / "foreign.sqlite"
        foreign.write_bytes(b"not a database, " * 100)
        self.run_with(2, "foreign.sqlite", db=foreign)
        self.run_with(2, "is a folder", db=self.dir)

    def test_a_log_without_its_database(self):
        folder = self.make_folder()
        e2e.trawl("run", folder, "--model", e2e.MODEL, "--db", self.db, "--job", "j")
        for path in self.dir.glob("results.sqlite*"):
            if ".log" not in path.name:
                path.unlink()
        self.run_with(2, "is gone, but .*results.sqlite.log remembers", source=folder)

    def test_no_such_job(self):
        e2e.trawl("run", self.make_folder(), "--model", e2e.MODEL, "--db", self.db, "--job", "j")
        self.check(4, "no such job|nobody", "results", "nobody", "--db", self.db)
        self.check(4, "no such job|nobody", "status", "nobody", "--db", self.db)

    def test_the_same_job_with_another_source_is_refused(self):
        e2e.trawl("run", self.make_folder(), "--model", e2e.MODEL, "--db", self.db, "--job", "j")
        for _ in range(
            5
        ):  # each a race between what the database knows and what the producer finds
            self.run_with(2, "source", "--job", "j")

    def test_nobody_answers(self):
        port = e2e.free_port()
        self.check(
            69, f"127.0.0.1:{port}", "collector", "--brokers", f"127.0.0.1:{port}", "--db", self.db
        )
        self.check(
            69,
            f"127.0.0.1:{port}",
            "run",
            "s3://bucket/",
            "--model",
            e2e.MODEL,
            "--db",
            self.db,
            "--anonymous",
            "--s3-endpoint",
            f"http://127.0.0.1:{port}",
            "--download-attempts",
            "2",
        )

    def test_no_credentials(self):
        self.check(
            2,
            "AWS_ACCESS_KEY_ID",
            "run",
            "s3://bucket/",
            "--model",
            e2e.MODEL,
            "--db",
            self.db,
            "--s3-endpoint",
            "http://127.0.0.1:1",
            env={"HOME": str(self.dir)},
        )

    def test_a_second_process_on_the_same_database(self):
        folder = self.make_folder()
        manifest = self.dir / "fifo"
        os.mkfifo(manifest)
        first = e2e.start(
            "run", folder, "--manifest", manifest, "--model", e2e.MODEL, "--db", self.db
        )
        try:
            e2e.wait_until(
                lambda: pathlib.Path(str(self.db) + ".log").exists(),
                "the first process opens its log",
            )
            e2e.wait_until(
                lambda: "in use"
                in e2e.trawl("run", folder, "--model", e2e.MODEL, "--db", self.db).stderr,
                "the second process is refused",
            )
        finally:
            first.kill()
            first.wait()

    def make_folder(self):
        folder = self.dir / "pictures"
        folder.mkdir()
        picture = e2e.sample_pictures()[0]
        (folder / picture.name).write_bytes(picture.read_bytes())
        return folder


class ClassifyTest(e2e.EndToEndTest):
    def test_prints_one_json_object_a_file_and_fails_at_the_end(self):
        good = e2e.sample_pictures()[:3]
        html = self.dir / "page.jpg"
        html.write_text("<html>")
        files = [*good, html, self.dir / "missing.jpg"]
        done = e2e.trawl("classify", "--model", e2e.MODEL, "--json", "--top-k", "2", *files)
        self.assertEqual(done.returncode, 1, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([row["file"] for row in rows], [str(f) for f in files])
        for row, path in zip(rows, good):
            self.assertEqual(len(row["predictions"]), 2)
            self.assertEqual(
                row["predictions"][0]["label"], e2e.truth()[path.relative_to(e2e.BUCKET).as_posix()]
            )
        self.assertEqual([row["error"]["code"] for row in rows[3:]], ["not_an_image", "not_found"])

    def test_exits_with_0_when_all_is_well(self):
        done = e2e.trawl("classify", "--model", e2e.MODEL, e2e.sample_pictures()[0])
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
