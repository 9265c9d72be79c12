"""`bench/peers/run.py --pipeline`: whole jobs, from a bucket to rows, in turn in one run."""

import argparse
import pathlib
import signal
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import bound  # noqa: E402
import entrants  # noqa: E402
import processes  # noqa: E402
import referee  # noqa: E402
import report  # noqa: E402
import server  # noqa: E402
import suite  # noqa: E402
import table  # noqa: E402

PHOTOS, CIFAR = 2000, 10000


def parsed(arguments):
    build = suite.SOURCE / "build"
    parser = argparse.ArgumentParser(prog="run.py --pipeline", description=__doc__)
    parser.add_argument("--cifar", action="store_true", help="CIFAR-10's test pictures, as PNG")
    parser.add_argument("--photos", type=int, help=f"[{PHOTOS}; with --cifar {CIFAR}]")
    parser.add_argument(
        "--contestants",
        help="NAME,… of %s, or none; Trawl always takes part [all; with --cifar none]"
        % ", ".join(entrants.PEERS_NAMES),
    )
    parser.add_argument(
        "--server",
        choices=("versitygw", "s3proxy"),
        help="the S3 server [versitygw where it is or can be built, else s3proxy]",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="the cores of this machine")
    parser.add_argument("--trawl", type=pathlib.Path, default=build / "trawl")
    parser.add_argument(
        "--image-bench",
        type=pathlib.Path,
        default=build / "image_bench",
        help="for the bound; built with -DTRAWL_BENCH=ON [%(default)s]",
    )
    parser.add_argument("--seconds", type=float, default=3, help="of each half of the bound")
    parser.add_argument("--environments", type=pathlib.Path, default=build / "peers")
    parser.add_argument("--out", type=pathlib.Path, default=suite.SOURCE / "bench" / "results")
    options = parser.parse_args(arguments)
    if not options.trawl.exists():
        parser.error(f"{options.trawl} is not there; build it, or name it with --trawl")
    default = "none" if options.cifar else ",".join(entrants.PEERS_NAMES)
    chosen = options.contestants or default
    options.contestants = [] if chosen == "none" else chosen.split(",")
    unknown = set(options.contestants) - set(entrants.PEERS_NAMES)
    if unknown:
        parser.error(f"unknown contestants: {', '.join(sorted(unknown))}")
    options.photos = options.photos or (CIFAR if options.cifar else PHOTOS)
    options.trawl = options.trawl.resolve()
    options.environments = options.environments.absolute()
    options.isa, options.precision = None, "each contestant's own"
    return options


def command_line(options, arguments):
    """As it was given, without where things lie on this machine."""
    flags, words = (f"--{name.replace('_', '-')}" for name in vars(options)), []
    places = [
        f for f, value in zip(flags, vars(options).values()) if isinstance(value, pathlib.Path)
    ]
    for i, word in enumerate(arguments):
        place = word.partition("=")[0] in places
        if not place and (i == 0 or arguments[i - 1] not in places):
            words.append(word)
    return " ".join(["bench/peers/run.py", "--pipeline", *words])


def agreement(classes, reference):
    """The share of the reference's keys that have the same first class."""
    same = sum(classes.get(key, [None])[0] == best[0] for key, best in reference.items())
    return same / len(reference)


def one_round(contestants, rounds, absent, bucket, count):
    reference = None
    for contestant in contestants:
        if contestant.title in absent:
            continue
        print(f"{contestant.title} …", end=" ", file=sys.stderr, flush=True)
        try:
            line, classes = referee.judge(contestant, bucket, count)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            absent[contestant.title] = str(error)
            continue
        reference = reference or classes
        line["top1_as_trawl"] = agreement(classes, reference)
        rounds[contestant].append(line)
        print(
            f"{line['images_per_second_steady']:.1f} images/s, {line['rows']} rows in "
            f"{line['seconds']:.1f} s",
            file=sys.stderr,
        )


def contest(options, bucket, folder, scratch, facts):
    contestants, absent = entrants.gather(options, bucket, scratch)
    rounds, bounds = {c: [] for c in contestants}, []
    models = {c.name: c.model for c in contestants if c.model}
    for _ in range(options.rounds):
        if options.image_bench.exists():
            bounds.append(bound.measure(options, folder, models))
        else:
            absent["the bound"] = f"there is no {options.image_bench}"
        one_round(contestants, rounds, absent, bucket, facts["count"])
        if contestants[0].title in absent:
            sys.exit("there is nothing to compare with")
        # After each round: a run of half an hour may be interrupted.
        name = "pipeline-cifar" if options.cifar else "pipeline"
        text = table.write(options.out, name, facts, rounds, bounds, absent)
    return text


def main(arguments):
    options = parsed(arguments)
    processes.adopt_orphans()
    # As Ctrl-C does: contestants and server end first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="contest-") as scratch:
        scratch = pathlib.Path(scratch)
        print(f"filling a bucket with {options.photos} pictures …", file=sys.stderr, flush=True)
        if options.cifar:
            folder, pictures = server.cifar(options.photos, scratch)
        else:
            folder, pictures = server.photos(options.photos)
        with server.serving(pictures, options.environments, options.server) as bucket:
            facts = {
                **report.machine_facts(options),
                "pictures": "CIFAR-10" if options.cifar else "photos",
                "count": len(pictures),
                "server": bucket.name,
                "trawl": entrants.trawl_version(options),
                "command": command_line(options, arguments),
            }
            print(contest(options, bucket, folder, scratch, facts), end="")
