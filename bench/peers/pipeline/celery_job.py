"""Celery with Redis as broker and backend, both for this job alone, and a process for each core."""

import contextlib
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import job

CHUNK = 32
PATIENCE_SECONDS = 300


@contextlib.contextmanager
def running(command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def redis():
    """Its address, while it runs."""
    with tempfile.TemporaryDirectory(prefix="contest-redis-") as folder:
        path = pathlib.Path(folder) / "redis.sock"
        command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--dir", folder]
        with running(command + ["--save", "", "--appendonly", "no"]) as process:
            while not path.exists():
                if process.poll() is not None:
                    raise SystemExit("redis-server ended early")
                time.sleep(0.01)
            yield f"redis+socket://{path}"


def worker(options):
    command = [sys.executable, "-m", "celery", "-A", "celery_task", "worker"]
    command += [f"--concurrency={options.cores}", "--prefetch-multiplier=2", "--loglevel=error"]
    return command + ["--without-gossip", "--without-mingle", "--without-heartbeat"]


def main():
    options = job.arguments()
    with redis() as address:
        os.environ["CONTEST_REDIS"] = address
        with running(worker(options)):
            from celery_task import classify

            bucket = options.bucket
            pending = [
                classify.delay(
                    bucket.endpoint,
                    bucket.name,
                    options.model,
                    options.batch,
                    page[start : start + CHUNK],
                )
                for page in bucket.pages()
                for start in range(0, len(page), CHUNK)
            ]
            results = job.Results(options)
            for answer in pending:
                for finished_at_ms, answers in answer.get(timeout=PATIENCE_SECONDS):
                    results.add(finished_at_ms, answers)
            versions = [
                f"{name} {importlib.metadata.version(name)}" for name in ("celery", "onnxruntime")
            ]
            results.finish(", ".join(versions))


if __name__ == "__main__":
    main()
