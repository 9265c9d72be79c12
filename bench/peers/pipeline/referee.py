"""Runs one contestant from list to rows, and judges it by its database alone."""

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import contest  # noqa: E402
import processes  # noqa: E402
from server import BUCKET  # noqa: E402

LIMIT_SECONDS = 1800
# Steady state: without the first fifth of the photos, and without the last tenth.
STEADY_FROM, STEADY_TO = 0.2, 0.9
QUERIES = {
    "trawl": (
        "SELECT finished_at_ms FROM objects WHERE status = 'ok' ORDER BY 1",
        "SELECT key, rank, class FROM top5",
    ),
    "peer": (
        "SELECT finished_at_ms FROM results ORDER BY 1",
        "SELECT key, rank, class FROM predictions",
    ),
}


def cpu_seconds():
    """Of all processes that have ended below this one."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(contestant, server):
    """(seconds until the last row, the line that the contestant wrote)."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        start = time.monotonic()
        process = subprocess.Popen(
            contestant.command,
            env=contestant.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        # Killed, all of it: what holds the pipe open, too.
        limit = threading.Timer(LIMIT_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        try:
            # A peer says when its rows are committed; Trawl ends when they are.
            line = process.stdout.readline() if contestant.kind == "peer" else ""
            if contestant.kind == "trawl":
                process.wait()
            seconds = time.monotonic() - start
            process.stdout.close()
            process.wait()
        finally:
            limit.cancel()
            processes.end({server.pid})
        if process.returncode != 0 or (contestant.kind == "peer" and not line):
            errors.seek(0)
            lines = errors.read().strip().splitlines() or ["it says nothing"]
            raise RuntimeError(f"exit {process.returncode}: {lines[-1]}")
    return seconds, line.strip()


def steady_rate(finished_at_ms):
    """Photos per second in the middle of the run, by the times at which they were classified."""
    first = int(len(finished_at_ms) * STEADY_FROM)
    last = int(len(finished_at_ms) * STEADY_TO)
    seconds = (finished_at_ms[last] - finished_at_ms[first]) / 1000
    return (last - first) / seconds if seconds > 0 else 0.0


def rows(contestant):
    """(times of classification, {key: classes by rank})."""
    times, predictions = QUERIES[contestant.kind]
    with contextlib.closing(sqlite3.connect(contestant.db)) as db:
        finished = [time_ms for (time_ms,) in db.execute(times)]
        found = {}
        for key, rank, index in db.execute(predictions):
            # Trawl's keys are whole addresses.
            found.setdefault(key.removeprefix(f"s3://{BUCKET}/"), {})[rank] = index
    return finished, {key: [ranks[r] for r in sorted(ranks)] for key, ranks in found.items()}


def judge(contestant, server, count):
    """One run: its figures, and {key: classes by rank}."""
    contestant.prepare()
    machine, started_at = contest.busy_seconds(), time.time()
    own, used = time.process_time(), cpu_seconds()
    served = contest.process_seconds(server.pid)
    with processes.PeakMemory({server.pid}) as peak:
        seconds, line = run(contestant, server)
    served = contest.process_seconds(server.pid) - served
    used, own = cpu_seconds() - used, time.process_time() - own
    wall = time.time() - started_at
    foreign = contest.busy_seconds() - machine - used - own - served
    finished, classes = rows(contestant)
    if len(finished) != count:
        raise RuntimeError(f"{len(finished)} of {count} photos are in its database")
    return {
        "versions": line,
        "images_per_second_steady": steady_rate(finished),
        "images_per_second_whole": len(finished) / seconds,
        "seconds": seconds,
        "first_result_s": finished[0] / 1000 - started_at,
        "rows": len(finished),
        "cpu_ms_per_image": 1000 * used / len(finished),
        "server_cpu_ms_per_image": 1000 * served / len(finished),
        "rss_mib": peak.resident,
        "pss_mib": peak.proportional,
        "foreign_share": max(0.0, foreign / wall / os.cpu_count()),
    }, classes
