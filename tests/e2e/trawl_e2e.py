"""What the end-to-end tests share: the executable, a real broker, and an oracle of their own.

The tests run the very executable that users run, and judge it from outside: the keys they made
themselves, SQLite read with Python's own module, the topic read with kcat. Nothing here skips: what
is missing fails, by name.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
TRAWL = os.environ.get("TRAWL_EXECUTABLE", str(SOURCE / "build" / "trawl"))
SAMPLE = SOURCE / "ops" / "sample"
BUCKET = SAMPLE / "bucket"
MODEL = SAMPLE / "model-onnx"
NODES = int(os.environ.get("TRAWL_TEST_NODES", "1"))  # of Kafka; each topic is on all of them
# No single command of these tests, and nothing that one waits for, needs a tenth of it: who comes
# to this end hangs, however slow and loaded the machine is.
TIMEOUT_S = 300


def environment(extra=None):
    """The environment without anything that could sign, configure or colour."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TRAWL_"))}
    clean.update(extra or {})
    return clean


def trawl(*arguments, env=None, stdin=None, timeout=TIMEOUT_S):
    """Runs trawl to its end. Returns the CompletedProcess with text output."""
    return subprocess.run(
        [TRAWL, *map(str, arguments)],
        env=environment(env),
        input=stdin,
        timeout=timeout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def start(*arguments, env=None, log=subprocess.DEVNULL, **options):
    """Starts trawl in the background. `options`: Popen's."""
    return subprocess.Popen(
        [TRAWL, *map(str, arguments)],
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        **options,
    )


_held_ports = contextlib.ExitStack()  # as long as this process is


def free_port(count=2):
    """A port that is free, and so are the next ones: a broker needs two. They are this process's
    own from now on: a socket that is bound and not listening keeps them from other tests and from
    becoming some connection's own end, but not from a server that sets SO_REUSEADDR, as ours do,
    however often it is killed and started again."""
    while True:
        with contextlib.ExitStack() as sockets:
            try:
                port = _hold_port(sockets, 0)
                for i in range(1, count):
                    _hold_port(sockets, port + i)
            except (OSError, OverflowError):
                continue
            _held_ports.push(sockets.pop_all())
            return port


def _hold_port(sockets, port):
    held = sockets.enter_context(socket.socket())
    held.bind(("127.0.0.1", port))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return held.getsockname()[1]


def wait_until(condition, what, timeout=TIMEOUT_S, pause=0.05):
    """Polls `condition` until it is true; fails naming `what` at the deadline."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(pause)


def peak_bytes(process):
    """The most memory that it had; ValueError when it has ended and nobody has waited for it."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    [peak] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) << 10


def query(db, sql, *parameters):
    connection = sqlite3.connect(f"file:{db}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


def query_or_nothing(db, sql):
    """As query, for a database that may not be there yet."""
    try:
        return query(db, sql)
    except sqlite3.OperationalError:
        return []


def sample_pictures():
    """The good pictures of the sample bucket."""
    broken = broken_keys()
    files = sorted(p for p in BUCKET.rglob("*") if p.is_file())
    return [p for p in files if p.relative_to(BUCKET).as_posix() not in broken]


def truth():
    """key -> class name, or "broken"."""
    lines = (SAMPLE / "truth.tsv").read_text().splitlines()
    return dict(
        line.split("\t")[:2] for line in lines if line and not line.startswith(("#", "key\t"))
    )


def broken_keys():
    return {key for key, name in truth().items() if name == "broken"}


class EndToEndTest(unittest.TestCase):
    """A scratch folder for each test, and the assertion that matters most."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="trawl-e2e-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.db = self.dir / "results.sqlite"

    def start_stuck(self, *arguments, env=None, **options):
        """Starts `trawl run` on a bucket whose server takes its first request and never answers.
        Returns the process, which waits for that by then. `options`: Popen's."""
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        silent.settimeout(TIMEOUT_S)
        process = start(
            *("run", "s3://bucket/", "--model", MODEL, "--db", self.db),
            *("--s3-endpoint", f"http://127.0.0.1:{silent.getsockname()[1]}", *arguments),
            env=env,
            **options,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        connection, _ = silent.accept()
        self.addCleanup(connection.close)
        return process

    def assert_each_key_once(self, job, keys):
        """Every key of the test's own list has exactly one row, and no other key has any."""
        counts = dict(
            query(
                self.db,
                "SELECT key, count(*) FROM (SELECT key FROM top1 WHERE job = ?1 UNION ALL "
                "SELECT key FROM failures WHERE job = ?1) GROUP BY key",
                job,
            )
        )
        keys = set(keys)
        self.assertEqual(sorted(keys - counts.keys())[:5], [], "missing keys")
        self.assertEqual(sorted(counts.keys() - keys)[:5], [], "keys that nobody asked for")
        self.assertEqual(
            [key for key, count in counts.items() if count != 1][:5], [], "doubled keys"
        )

    def assert_clean_error(self, done, exit_code, pattern):
        """One line for people: no stack trace, no crash, the right exit code."""
        self.assertEqual(done.returncode, exit_code, done.stderr)
        self.assertRegex(done.stderr, pattern)
        for noise in (
            "terminate called",
            "Traceback",
            "Aborted",
            "Segmentation",
            "check does not hold",
        ):
            self.assertNotIn(noise, done.stderr)
        errors = [line for line in done.stderr.splitlines() if line.startswith("trawl: ")]
        self.assertEqual(len(errors), 1, done.stderr)


class Broker:
    """A real Kafka of this test's own, NODES of them, started with the script that users have."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="trawl-broker-")
        self.port = free_port(2 * NODES)
        self.script = SOURCE / "ops" / "testing" / "kafka.sh"
        subprocess.run(
            [self.script, "start", self.dir, str(self.port), str(NODES)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
        )
        self.address = ",".join(f"127.0.0.1:{self.port + 2 * i}" for i in range(NODES))
        self.settings = {"TRAWL_BROKERS": self.address, "TRAWL_REPLICATION": str(NODES)}

    def close(self):
        subprocess.run(
            [self.script, "stop", self.dir], check=False, stdout=subprocess.DEVNULL, timeout=60
        )
        shutil.rmtree(self.dir, ignore_errors=True)

    def committed_records(self, topic, isolation="read_committed"):
        """All records of a topic that such a consumer sees, by kcat: (key, value)."""
        done = subprocess.run(
            [
                "kcat",
                "-C",
                "-b",
                self.address,
                "-t",
                topic,
                "-e",
                "-q",
                "-f",
                "%k\t%s\n",
                "-X",
                f"isolation.level={isolation}",
                "-X",
                "auto.offset.reset=earliest",
            ],
            check=True,
            timeout=TIMEOUT_S,
            stdout=subprocess.PIPE,
            text=True,
        )
        return [tuple(line.split("\t", 1)) for line in done.stdout.splitlines()]


class FleetCase(EndToEndTest):
    """A broker for the class; for each test a job, a queue and a group of its own, a log that all
    its processes write, and `env`, the settings that they start with."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker = Broker()
        cls.addClassCleanup(cls.broker.close)

    def setUp(self):
        super().setUp()
        self.job = self.id().rsplit(".", 1)[-1].removeprefix("test_")
        self.log = open(self.dir / "log.txt", "ab")
        self.addCleanup(self.log.close)
        self.env = {
            "TRAWL_BROKERS": self.broker.address,
            "TRAWL_QUEUE": self.job,
            "TRAWL_GROUP": self.job,
            "TRAWL_SESSION_TIMEOUT_MS": "6000",
            "TRAWL_SESSIONS": "1",
        }

    def start(self, *arguments):
        process = start(*arguments, env=self.env, log=self.log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def log_text(self):
        return (self.dir / "log.txt").read_text()

    def assert_exactly_once(self, keys):
        waited = trawl("status", self.job, "--db", self.db, "--wait", timeout=2 * TIMEOUT_S)
        self.assertEqual(waited.returncode, 0, waited.stderr + self.log_text()[-3000:])
        self.assert_each_key_once(self.job, keys)
        # An independent reader of the committed topic saw the same.
        records = [json.loads(value) for _, value in self.broker.committed_records("trawl.results")]
        topic = [record["key"] for record in records if record["job"] == self.job]
        self.assertEqual(sorted(topic), sorted(keys))
