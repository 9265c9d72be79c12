#!/usr/bin/env python3
"""What decoding in sandboxed processes costs: `trawl run` with --sandbox auto and off, in turn.

Three jobs from a folder: photos with a real model; the same photos with one that only averages
colours, so that decoding is nearly all; and pictures of 32 x 32 pixels with such a model, for which
the way to the other process is longest beside the decoding. The table has the medians of the
ratios, auto to off, of the rounds: images/s between the first fifth and the last tenth, and CPU
time an image, to which other work on the machine does less. Standard library only.

    bench/sandbox/sandbox_bench.py --trawl build/trawl --photos FOLDER --small FOLDER --model MODEL
"""

import argparse
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(SOURCE / "bench"))
import tiny_model  # noqa: E402

PICTURES = (".jpg", ".jpeg", ".png")


def write_model(folder, side):
    """A classifier of three classes: the averages of the channels."""
    pool = {"global_pool": "True", "kernel": "(1, 1)", "pool_type": "avg"}
    to_unit = "{mean: [0, 0, 0], std: [255, 255, 255]}"
    tiny_model.write(folder, "average", side, [("Pooling", pool), ("Flatten", {})], to_unit)
    return folder


def fill(folder, source, count):
    """`folder` gets `count` links to the pictures below `source`, over and over."""
    files = sorted(f for f in pathlib.Path(source).rglob("*") if f.suffix.lower() in PICTURES)
    for i in range(count):
        (folder / f"{i:06}{files[i % len(files)].suffix}").symlink_to(files[i % len(files)])
    return folder


def run_once(trawl, folder, model, sandbox, scratch):
    """(images/s while it is steady, CPU seconds an image) of one job."""
    db = scratch / "bench.sqlite"
    for file in scratch.glob("bench.sqlite*"):
        file.unlink()
    command = [trawl, "run", folder, "--model", model, "--db", db, "--job", "bench"]
    command += ["--sandbox", sandbox, "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(errors)
    with sqlite3.connect(db) as connection:
        rows = connection.execute("SELECT finished_at_ms FROM objects ORDER BY 1").fetchall()
    ended = [ms for (ms,) in rows]
    first, last = len(ended) // 5, len(ended) * 9 // 10
    rate = 1000 * (last - first) / (ended[last] - ended[first])
    return rate, (usage.ru_utime + usage.ru_stime) / len(ended)


def compare(arguments, folder, model, scratch):
    """A row's cells: the medians of both ratios over the rounds."""
    rates, costs = [], []
    for number in range(arguments.rounds):
        order = ("auto", "off") if number % 2 == 0 else ("off", "auto")
        ran = {how: run_once(arguments.trawl, folder, model, how, scratch) for how in order}
        rates.append(ran["auto"][0] / ran["off"][0])
        costs.append(ran["auto"][1] / ran["off"][1])
    return " | ".join(
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        for ratios in (rates, costs)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trawl", default=SOURCE / "build/trawl")
    parser.add_argument("--photos", required=True, help="a folder of JPEGs")
    parser.add_argument("--small", required=True, help="a folder of PNGs of 32 x 32")
    parser.add_argument("--model", required=True, help="the real one")
    parser.add_argument("--photo-count", type=int, default=600)
    parser.add_argument("--small-count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trawl-sandbox-") as name:
        scratch = pathlib.Path(name)
        count = arguments.photo_count
        large, small = (write_model(scratch / f"average-{side}", side) for side in (224, 32))
        jobs = [
            ("photos, a real model", arguments.photos, count, arguments.model),
            ("photos, average colour", arguments.photos, 5 * count, large),
            ("32 × 32, average colour", arguments.small, arguments.small_count, small),
        ]
        print("| job | images/s, sandboxed to not | CPU an image, sandboxed to not |")
        print("|---|---|---|", flush=True)
        for number, (title, source, images, model) in enumerate(jobs):
            folder = scratch / str(number)
            folder.mkdir()
            fill(folder, source, images)
            cells = compare(arguments, folder, model, scratch)
            print(f"| {title} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
