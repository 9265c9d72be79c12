#!/usr/bin/env python3
"""Measures the fleet itself: keys through Kafka into SQLite, with a model that does nothing.

A producer, workers and a collector are started at once on a broker of their own; the keys are tiny
pictures in a local folder, and the model hands its twelve input values out as classes, so what is
left is listing, messages, decoding a picture of 2 x 2 pixels, transactions and rows. The rate
counts from the first process's start to the last row. Memory is what the kernel says: the peak, and
for workers the growth from the second tenth of the keys to the last. --check fails when a bound of
BOUNDS does not hold. Standard library only; needs what tests/e2e needs.
"""

import argparse
import os
import pathlib
import statistics
import struct
import sys
import tempfile
import time
import zlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests" / "e2e"), str(SOURCE / "bench")]
import tiny_model  # noqa: E402
import trawl_e2e as e2e  # noqa: E402

SIDE = 2
FOLDERS = 100
LINKS = 10_000  # of one file; file systems allow some 65,000
SAMPLE_S = 0.5
KEYS_FOR_GROWTH = 500_000
MIB = 1 << 20
BOUNDS = {  # figure -> (at least or at most, bound)
    "keys_per_second": ("at least", 5_000),
    "worker_mib_per_100000_keys": ("at most", 1),
    "collector_peak_mib": ("at most", 256),
    "producer_peak_mib": ("at most", 128),
}


def write_model(folder):
    """A network without a layer: its input, flattened."""
    untouched = "{resize: none, crop: none, mean: [0, 0, 0], std: [255, 255, 255]}"
    tiny_model.write(folder, "no-op", SIDE, [("Flatten", {})], untouched)


def picture(shade):
    """A PNG of SIDE x SIDE pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(
        b"\0" + bytes((shade + 7 * i) % 256 for i in range(3 * SIDE)) for _ in range(SIDE)
    )
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def write_pictures(folder, count):
    """So many names for a few files."""
    for i in range(FOLDERS):
        (folder / f"{i:02}").mkdir(parents=True)
    original = None
    for i in range(count):
        path = folder / f"{i % FOLDERS:02}" / f"{i:08}.png"
        if i % LINKS == 0:
            original = path
            path.write_bytes(picture(i // LINKS))
        else:
            os.link(original, path)


class Role:
    """A process, and what the kernel says of it."""

    def __init__(self, arguments, environment, log):
        self.process = e2e.start(*arguments, env=environment, log=log)
        self.log = log.name
        self.peak = 0  # bytes; not ru_maxrss, which counts what the parent had when it forked
        self.cpu_s = 0.0  # without its children's, as long as they live
        self.samples = []  # (keys, bytes)

    def sample(self, keys):
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
            times = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1]
        except OSError:
            return
        sizes = dict(line.split(":", 1) for line in status.splitlines())
        if "VmRSS" not in sizes:
            return  # it has just ended
        self.peak = max(self.peak, int(sizes["VmHWM"].split()[0]) << 10)
        self.cpu_s = sum(map(int, times.split()[11:15])) / os.sysconf("SC_CLK_TCK")
        self.samples.append((keys, int(sizes["VmRSS"].split()[0]) << 10))

    def growth(self, keys):
        """Bytes per key, from the second tenth of them to the last: of each the median, since the
        size swings with what librdkafka has read ahead. None: so few keys are all warm-up."""
        if keys < KEYS_FOR_GROWTH:
            return None

        def median(tenth):
            begin, end = keys * tenth / 10, keys * (tenth + 1) / 10
            return statistics.median(size for at, size in self.samples if begin <= at <= end)

        return (median(9) - median(1)) / (keys * 8 / 10)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        if code != 0:
            sys.exit(f"{self.process.args} ended with {code}; see {self.log}")


def run(arguments, scratch):
    pictures, model, db = scratch / "pictures", scratch / "no-op", scratch / "results.sqlite"
    write_model(model)
    write_pictures(pictures, arguments.keys)
    broker = e2e.Broker()
    log = open(scratch / "log", "ab")
    environment = {**broker.settings, "TRAWL_WORK_PARTITIONS": "12"} | {
        k: v for k, v in os.environ.items() if k.startswith("TRAWL_")
    }
    roots = [f"--allow-root={model}", f"--allow-root={pictures}"]
    roles = []
    try:
        began = time.monotonic()
        collector = Role(["collector", "--db", db], environment, log)
        producer = Role(
            ["producer", pictures, "--model", model, "--job", "bench"], environment, log
        )
        workers = [Role(["worker", *roots], environment, log) for _ in range(arguments.workers)]
        roles = [collector, producer, *workers]
        produced_s = None
        done = 0
        while done < arguments.keys:
            time.sleep(SAMPLE_S)
            [(done,)] = e2e.query_or_nothing(db, "SELECT total(done + failed) FROM jobs") or [(0,)]
            for role in roles:
                role.sample(done)
            ended = producer.process.poll()
            if ended is not None and produced_s is None:
                produced_s = time.monotonic() - began
            others_ended = any(each.process.poll() is not None for each in (collector, *workers))
            if ended or others_ended or time.monotonic() - began > arguments.patience:
                sys.exit(f"only {done:.0f} rows; {pathlib.Path(log.name).read_text()[-3000:]}")
        seconds = time.monotonic() - began
        for role in (*workers, collector):
            role.stop()
        [(failed,)] = e2e.query(db, "SELECT total(failed) FROM jobs")
        if arguments.status:
            print(e2e.trawl("status", "bench", "--db", db, "--json").stdout)
    finally:
        for role in roles:
            role.process.kill()
            role.process.wait()
        broker.close()
    cpu = {"producer": producer.cpu_s, "collector": collector.cpu_s}
    cpu["workers"] = sum(worker.cpu_s for worker in workers)
    growths = [worker.growth(arguments.keys) for worker in workers]
    growth = None if None in growths else max(growths) * 1e5 / MIB
    return {
        "keys": arguments.keys,
        "failed": int(failed),
        "keys_per_second": arguments.keys / seconds,
        "enqueued_per_second": arguments.keys / produced_s if produced_s else None,
        "worker_peak_mib": max(worker.peak for worker in workers) / MIB,
        "worker_mib_per_100000_keys": growth,
        "collector_peak_mib": collector.peak / MIB,
        "producer_peak_mib": producer.peak / MIB,
        **{f"{name}_cpu_us_per_key": s * 1e6 / arguments.keys for name, s in cpu.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--patience", type=float, default=580, help="seconds, at most")
    parser.add_argument("--status", action="store_true", help="show trawl status, too")
    parser.add_argument("--check", action="store_true", help="fail when a bound does not hold")
    parser.add_argument("--scratch", help="folder for pictures and database")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trawl-fleet-", dir=arguments.scratch) as scratch:
        figures = run(arguments, pathlib.Path(scratch))
    for name, value in figures.items():
        print(
            f"{name:28} {value:12.1f}" if isinstance(value, float) else f"{name:28} {value!s:>12}"
        )
    grown = figures["worker_mib_per_100000_keys"]
    print(
        f"{figures['keys']} keys at {figures['keys_per_second']:.0f} keys/s, MiB: worker "
        f"{figures['worker_peak_mib']:.0f}"
        + ("" if grown is None else f" (grown by {grown:.1f} per 100,000 keys)")
        + f", collector {figures['collector_peak_mib']:.0f}"
        f", producer {figures['producer_peak_mib']:.0f}"
    )
    missed = [
        f"{name}: {figures[name]:.1f}, {sense} {bound} was wanted"
        for name, (sense, bound) in BOUNDS.items()
        if figures[name] is not None
        and (figures[name] < bound if sense == "at least" else figures[name] > bound)
    ]
    if arguments.check and (missed or figures["failed"]):
        sys.exit("\n".join(missed or [f"{figures['failed']} keys failed"]))


if __name__ == "__main__":
    main()
