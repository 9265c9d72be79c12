#!/usr/bin/env python3
"""Measures Trawl and other runtimes in turn, in one run, and writes a table of images per second.

Installs the runtimes into virtual environments below build/peers first. The standard models come
from $TRAWL_SHARED (by default ../shared); --model measures others. With --pipeline, whole jobs from
a bucket to rows instead (--pipeline --help). Standard library only.
"""

import argparse
import os
import pathlib
import sys

import contest
import environments
import pipeline.command
import report
import suite

HOLD_ISA = {
    "avx2": {  # with AVX-VNNI, which Trawl and the others use for int8 where the machine has it
        "TRAWL_ISA": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI",
        "DNNL_MAX_CPU_ISA": "AVX2_VNNI",
    },
    "avx512": {
        "TRAWL_ISA": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "DNNL_MAX_CPU_ISA": "AVX512_CORE",
    },
}


def parsed():
    build = suite.SOURCE / "build"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trawl", type=pathlib.Path, default=build / "trawl")
    parser.add_argument(
        "--peers",
        default="onnxruntime,openvino,mxnet",
        help="which to measure, of %s [%%(default)s]" % ", ".join(environments.PACKAGES),
    )
    parser.add_argument("--model", nargs="+", metavar="FILE", help=".onnx or -symbol.json files")
    parser.add_argument("--size", type=int, default=224, help="of their pictures, for MXNet, torch")
    parser.add_argument("--batch", default="8", help="batches of --model, N,N,… [%(default)s]")
    parser.add_argument("--only", help="standard models whose name contains this")
    lower = parser.add_mutually_exclusive_group()
    lower.add_argument(
        "--int8", action="store_true", help="models in QDQ form, into peers-int8.md and .jsonl"
    )
    lower.add_argument(
        "--bf16", action="store_true", help="Trawl in bf16, too, into peers-bf16.md and .jsonl"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a window")
    parser.add_argument("--isa", choices=sorted(HOLD_ISA), help="hold all to it that can be held")
    parser.add_argument("--environments", type=pathlib.Path, default=build / "peers")
    parser.add_argument("--out", type=pathlib.Path, default=suite.SOURCE / "bench" / "results")
    options = parser.parse_args()
    if not options.trawl.exists():
        parser.error(f"{options.trawl} is not there; build it, or name it with --trawl")
    unknown = set(options.peers.split(",")) - set(environments.PACKAGES)
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    options.trawl = options.trawl.resolve()
    options.precision = "int8" if options.int8 else "bf16" if options.bf16 else "fp32"
    options.environment = {**os.environ, **HOLD_ISA.get(options.isa, {})}
    options.switchless = {}
    if options.isa == "avx2":
        options.switchless = environments.held_to_avx2(options.environments)
    return options


def rows_to_measure(options):
    folder = options.environments / "models"
    if options.model:
        batches = [int(batch) for batch in options.batch.split(",")]
        chosen = suite.rows_of(options.model, options.size, batches, options.precision)
    else:
        int8 = options.int8
        rows = suite.int8_rows(folder, options.trawl) if int8 else suite.standard_rows(folder)
        chosen = [r for r in rows if not options.only or options.only.lower() in r.name.lower()]
        if not chosen:
            names = ", ".join(dict.fromkeys(row.name for row in rows))
            sys.exit(f"no standard model's name contains '{options.only}'; they are {names}")
    if options.bf16:
        return [suite.with_bf16(row, folder, options.trawl) for row in chosen if row.onnx]
    return chosen


def main():
    if "--pipeline" in sys.argv[1:]:
        pipeline.command.main([argument for argument in sys.argv[1:] if argument != "--pipeline"])
        return
    options = parsed()
    rows = rows_to_measure(options)
    pythons, absent = {}, {}
    for runtime in options.peers.split(","):
        python, problem = environments.make(runtime, options.environments)
        if problem:
            absent[runtime] = problem
            print(f"without {runtime}: {problem}", file=sys.stderr)
        else:
            pythons[runtime] = python
    results = []
    for row in rows:
        print(f"{row.name}, batch {row.batch} …", file=sys.stderr, flush=True)
        entrants = suite.contestants(row, options.threads, pythons)
        results.append(contest.measure(row, entrants, pythons, options))
        # After each row: a run of an hour may be interrupted.
        table = report.write(options.out, report.machine_facts(options), results, absent)
    print(table, end="")


if __name__ == "__main__":
    main()
