#!/usr/bin/env python3
"""Measures `trawl run` from a folder of images into SQLite: images/s, memory, busy shares.

Each round is a fresh process with a fresh database; the figures are medians over the rounds, with
minimum and maximum beside. The rate counts everything from exec to exit. Standard library only.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SAMPLE_S = 0.05


def resident_mib(pid):
    """Now, or None when the process has just ended."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return None


def run_once(arguments, scratch):
    db = pathlib.Path(scratch) / f"{time.monotonic_ns()}.sqlite"
    command = [
        arguments.trawl,
        "run",
        arguments.folder,
        "--model",
        arguments.model,
        "--db",
        str(db),
        "--job",
        "bench",
        *arguments.extra,
    ]
    started = time.monotonic()
    errors = pathlib.Path(scratch) / "stderr"
    with open(errors, "w", encoding="utf-8") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    resident = []
    while True:
        ended_pid, wait_status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended_pid:
            break
        resident.append(resident_mib(process.pid))
        time.sleep(SAMPLE_S)
    elapsed = time.monotonic() - started
    if os.waitstatus_to_exitcode(wait_status) not in (0, 1):
        sys.exit(f"{' '.join(command)}\n{errors.read_text(encoding='utf-8')}")
    resident = [mib for mib in resident if mib]
    status = json.loads(
        subprocess.run(
            [arguments.trawl, "status", "bench", "--db", str(db), "--json"],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    ended = status["done"] + status["failed"]
    return {
        "images_per_second": ended / elapsed,
        "peak_rss_mib": usage.ru_maxrss / 1024,
        **{f"rss_mib_after_{t}0_%": resident[len(resident) * t // 10] for t in (1, 5, 9)},
        "cpu_seconds_per_image": (usage.ru_utime + usage.ru_stime) / max(ended, 1),
        "images": ended,
        "failed": status["failed"],
    } | {f"busy_{stage}": share for stage, share in status["busy_share"].items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trawl", default="build/trawl")
    parser.add_argument("extra", nargs="*", help="further flags of trawl run, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trawl-bench-") as scratch:
        rounds = [run_once(arguments, scratch) for _ in range(arguments.rounds)]
    for name in rounds[0]:
        values = [r[name] for r in rounds]
        median, low, high = statistics.median(values), min(values), max(values)
        print(f"{name:24} {median:10.3f}   ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
