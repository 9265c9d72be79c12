#!/usr/bin/env python3
"""What one store that throttles is asked for by a fleet: one trawl process, three, and eight.

Workers do not speak of throttling with each other: each adapts to what it sees. Three experiments
ask whether that is brake enough, for each number of processes, all on one store:

capacity  the store grants RATE requests a second in all (a token bucket) and answers all others
          with 503 SlowDown: requests a grant, the share of the capacity that is used, and how
          unequal the processes' shares are.
dice      three of ten requests are answered with SlowDown, whatever is asked for: requests a grant.
outage    all are, for a while: requests in it, as a share of the rate before it (from 10 s on), and
          the time from its end until a window of 5 s has 90 % of the rate before it.

In all of them failure rows are counted: there must be none. Pictures of 2 x 2 pixels and a model
that does nothing leave the processor out of it. Standard library only.

    bench/throttling/throttling_bench.py --trawl build/trawl
"""

import argparse
import collections
import http.server
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "bench" / "fleet"))
import run_bench  # noqa: E402

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>"
LATENCY_S = 0.1
IN_FLIGHT = 4  # of a process: 40 requests a second, so that Python can be the store of eight
RATE = 60
WINDOW_S = 5


class Store(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.picture = run_bench.picture(0)
        self.lock = threading.Lock()
        self.grants = lambda now: True
        self.log = []  # (time, process, granted)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def admit(self, process):
        with self.lock:
            now = time.monotonic()
            granted = self.grants(now)
            self.log.append((now, process, granted))
            return granted


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        granted = self.server.admit(self.path.split("/")[1])
        time.sleep(LATENCY_S)
        body = self.server.picture if granted else SLOW_DOWN
        self.send_response(200 if granted else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the client hedged, or has gone
            self.close_connection = True

    def log_message(self, *_):
        pass


class TokenBucket:
    """Grants RATE requests a second, with half a second of burst."""

    def __init__(self):
        self.tokens, self.filled_at = RATE / 2, time.monotonic()

    def __call__(self, now):
        self.tokens = min(RATE / 2, self.tokens + (now - self.filled_at) * RATE)
        self.filled_at = now
        granted = self.tokens >= 1
        self.tokens -= granted
        return granted


class Crowd:
    """So many processes at work on one store."""

    def __init__(self, trawl, store, processes, folder):
        self.folder, self.running = pathlib.Path(folder), []
        store.log.clear()
        model = self.folder / "model"
        run_bench.write_model(model)
        manifest = self.folder / "keys.txt"
        manifest.write_text("".join(f"{i:06}.png\n" for i in range(40_000)))  # more than enough
        for process in range(processes):
            command = [
                *(trawl, "run", f"http://127.0.0.1:{store.server_port}/{process}/"),
                *("--manifest", manifest, "--db", self.folder / f"{process}.sqlite"),
                *("--model", model, "--sandbox", "off", "--downloads-in-flight", IN_FLIGHT),
                *("--sessions", 1, "--decode-threads", 1),
            ]
            self.running.append(
                subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
            )

    def stop(self):
        """Failure rows of all of them."""
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        failures = 0
        for number, process in enumerate(self.running):
            process.wait(60)
            connection = sqlite3.connect(self.folder / f"{number}.sqlite")
            failures += connection.execute("SELECT count(*) FROM failures").fetchone()[0]
            connection.close()
        return failures


def watch(arguments, store, processes, grants, seconds):
    """Lets them work for so long; the store's log and the failure rows."""
    with tempfile.TemporaryDirectory(prefix="trawl-throttling-") as folder:
        crowd = Crowd(arguments.trawl, store, processes, folder)
        time.sleep(5)  # all have started
        with store.lock:
            store.grants = grants
            store.log.clear()
        time.sleep(seconds)
        with store.lock:
            log = list(store.log)
            store.grants = lambda now: True
        return log, crowd.stop()


def granted_in(log, begin, end):
    return sum(granted for at, _, granted in log if begin <= at < end)


def capacity(arguments, store, processes):
    log, failures = watch(arguments, store, processes, TokenBucket(), arguments.seconds)
    shares = collections.Counter(process for _, process, granted in log if granted)
    granted = shares.total()
    return [
        f"{len(log) / granted:.2f}",
        f"{granted / (RATE * (log[-1][0] - log[0][0] + 0.5)):.0%}",
        f"{max(shares.values()) / (granted / processes):.2f}",
        failures,
    ]


def dice(arguments, store, processes):
    throw = random.Random(1)
    log, failures = watch(
        arguments, store, processes, lambda now: throw.random() >= 0.3, arguments.seconds
    )
    return [f"{len(log) / granted_in(log, 0, 1e18):.2f}", failures]


def outage(arguments, store, processes):
    before_s, after_s = 15, 45
    begin = time.monotonic() + 5 + before_s  # of the outage
    end = begin + arguments.seconds
    log, failures = watch(
        arguments,
        store,
        processes,
        lambda now: not begin <= now < end,
        before_s + arguments.seconds + after_s,
    )
    rate = granted_in(log, begin - 10, begin) / 10
    late = sum(1 for at, *_ in log if begin + 10 <= at < end) / max(1, arguments.seconds - 10)
    recovered = next(
        (
            at - end + WINDOW_S
            for at in (end + i / 2 for i in range(2 * (after_s - WINDOW_S)))
            if granted_in(log, at, at + WINDOW_S) >= 0.9 * rate * WINDOW_S
        ),
        float("inf"),
    )
    return [f"{late / rate:.1%}", f"{recovered:.0f} s", failures]


EXPERIMENTS = {
    capacity: ("requests a grant", "capacity used", "largest share, of its due", "failures"),
    dice: ("requests a grant", "failures"),
    outage: ("requests in it", "90 % of the rate after", "failures"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trawl", default=SOURCE / "build/trawl")
    parser.add_argument("--seconds", type=int, default=40, help="of each trouble")
    parser.add_argument("--only", choices=[e.__name__ for e in EXPERIMENTS], nargs="+")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 3, 8])
    arguments = parser.parse_args()
    store = Store()
    for experiment, names in EXPERIMENTS.items():
        if arguments.only and experiment.__name__ not in arguments.only:
            continue
        print(f"\n{experiment.__name__}, {arguments.seconds} s\n")
        print("| processes | " + " | ".join(names) + " |")
        print("|---|" + "---|" * len(names))
        for processes in arguments.processes:
            cells = experiment(arguments, store, processes)
            print(f"| {processes} | " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
