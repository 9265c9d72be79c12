"""One runtime in a process of its own, which runs when it is told to. For Python 3.8 and later.

A line on standard input is a number of seconds; the answer is one line of JSON with the images per
second over that time. The first line that the process writes says what it is. The end of its input
ends it.
"""

import argparse
import json
import sys
import threading
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--size", type=int, help="height and width of the pictures")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--sessions", type=int, default=1, help="runs at once; they share threads")
    parser.add_argument("--precision", choices=("fp32", "int8", "default"), default="fp32")
    return parser.parse_args()


def pictures(shape, seed):
    """As large as normalised pixels are, and so never denormal."""
    import numpy

    return numpy.random.default_rng(seed).uniform(-2, 2, shape).astype(numpy.float32)


def run_lane(run, batch, seconds, rates, index):
    start = time.perf_counter()
    runs, elapsed = 0, 0.0
    while runs == 0 or elapsed < seconds:
        run()
        runs += 1
        elapsed = time.perf_counter() - start
    rates[index] = runs * batch / elapsed


def window(lanes, batch, seconds):
    """Images per second of all lanes at once, each on a thread of its own."""
    rates = [0.0] * len(lanes)
    threads = [
        threading.Thread(target=run_lane, args=(run, batch, seconds, rates, index))
        for index, run in enumerate(lanes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def serve(facts, lanes, batch):
    """`lanes`: functions of no arguments, each of which runs one batch."""
    window(lanes, batch, 0.5)
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        for run in lanes:
            run()  # the caches are others' by now
        print(json.dumps({"images_per_second": window(lanes, batch, float(line))}), flush=True)
