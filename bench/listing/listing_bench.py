#!/usr/bin/env python3
"""What listing in several places at once gains: keys/s of `trawl producer`, by --list-concurrency.

A real S3 server with KEYS objects lies behind a TCP proxy that holds everything back for LATENCY_MS
in each direction; the broker does not. KEYS are spread as buckets are: in one folder under running
numbers, or under random names, or by days, or nearly all in one folder among small ones. Each
setting lists each bucket into a job of its own, in turn; the table has the ratio of the rates to
that of 0 (a page, then its transaction, then the next page), and the listing requests beyond one a
page. Standard library only; needs what tests/e2e needs.

    bench/listing/listing_bench.py --trawl build/trawl
"""

import argparse
import hashlib
import pathlib
import re
import statistics
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "e2e"))
import chaos  # noqa: E402
import s3_client  # noqa: E402
import trawl_e2e as e2e  # noqa: E402

SETTINGS = (0, 1, 2, 4, 8)


def shapes(count):
    """name -> keys, all below a prefix of their own."""
    digests = [hashlib.sha256(str(i).encode()).hexdigest()[:24] for i in range(count)]
    return {
        "numbers": [f"numbers/img_{i:07}.jpg" for i in range(count)],
        "random": [f"random/{digest}" for digest in digests],
        "days": [f"days/2026/{1 + i % 12:02}/{1 + i % 27:02}/{i:07}.jpg" for i in range(count)],
        "skewed": [
            f"skewed/{'k/' if i % 20 else chr(97 + i % 7) + '/'}{i:07}" for i in range(count)
        ],
    }


class Proxy(chaos.Network):
    """Counts listing requests on their way."""

    def __init__(self, port, delay_s):
        self.lists = 0
        super().__init__([port])
        self.delay_s = delay_s

    def _observe(self, data):
        self.lists += len(re.findall(rb"list-type=2", data))
        return b""


def list_once(arguments, server, proxy, broker, name, concurrency, number):
    environment = (
        server.environment
        | broker.settings
        | {
            "TRAWL_S3_ENDPOINT": f"http://127.0.0.1:{proxy.ports[0]}",
            "TRAWL_LIST_CONCURRENCY": str(concurrency),
            "TRAWL_LIST_PAGE_KEYS": str(arguments.page),
        }
    )
    proxy.lists = 0
    begin = time.monotonic()
    done = e2e.trawl(
        *("producer", f"s3://photos/{name}/", "--model", e2e.MODEL),
        *("--job", f"{name}-{concurrency}-{number}"),
        env=environment,
        timeout=300,
    )
    elapsed = time.monotonic() - begin
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    if f" {arguments.keys} objects" not in done.stderr:
        raise SystemExit(f"not all keys: {done.stderr}")
    return elapsed, proxy.lists


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trawl", default=e2e.TRAWL)
    parser.add_argument("--keys", type=int, default=3000, help="in each bucket")
    parser.add_argument("--page", type=int, default=50, help="keys a page")
    parser.add_argument("--latency-ms", type=float, default=25, help="in each direction")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="+", choices=list(shapes(1)), default=list(shapes(1)))
    arguments = parser.parse_args()
    e2e.TRAWL = arguments.trawl
    server, broker = s3_client.S3Server(), e2e.Broker()
    proxy = Proxy(server.port, arguments.latency_ms / 1000)
    try:
        buckets = {k: v for k, v in shapes(arguments.keys).items() if k in arguments.shapes}
        for keys in buckets.values():
            server.put_all(keys, b"x")
        print("| keys | " + " | ".join(f"{c}" for c in SETTINGS) + " | requests a page with 8 |")
        print("|---|" + "---|" * (len(SETTINGS) + 1))
        for name in buckets:
            times = {c: [] for c in SETTINGS}
            for number in range(arguments.rounds):
                for concurrency in SETTINGS:
                    elapsed, lists = list_once(
                        arguments, server, proxy, broker, name, concurrency, number
                    )
                    times[concurrency].append(elapsed)
            base = statistics.median(times[0])
            ratios = [base / statistics.median(times[c]) for c in SETTINGS]
            pages = -(-arguments.keys // arguments.page)
            cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"| {name} | {cells} | {lists / pages:.2f} |", flush=True)
    finally:
        proxy.close()
        broker.close()
        server.close()


if __name__ == "__main__":
    main()
