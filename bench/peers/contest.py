"""Runs contestants in turn, a window each, so that all see the machine in the same moods."""

import ctypes
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import environments

HERE = pathlib.Path(__file__).resolve().parent
# A window in which other processes took more of the machine than this is measured again, up to
# so many times.
FOREIGN_SHARE_MAX = 0.04
ATTEMPTS = 3


def busy_seconds():
    """Of all processors together, since boot."""
    fields = pathlib.Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def process_seconds(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def die_with_parent():
    """A process that stands still would never learn that nobody needs it any more."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Peer:
    """A peer's process; it stands still but for its windows."""

    def __init__(self, python, row, contestant, threads, environment):
        model = row.symbol if contestant.runtime == "mxnet" else row.onnx
        # A file: nobody reads a pipe while the peer works.
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [str(python), str(HERE / f"{contestant.runtime}_peer.py"), model]
            + [f"--batch={row.batch}", f"--size={row.size}", f"--threads={threads}"]
            + [f"--sessions={contestant.sessions}", f"--precision={contestant.precision}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            text=True,
            preexec_fn=die_with_parent,
        )
        self.facts = self.answer()
        self.process.send_signal(signal.SIGSTOP)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            lines = self.errors.read().strip().splitlines() or ["it ended"]
            raise RuntimeError(lines[-1])
        return json.loads(line)

    def window(self, seconds):
        """Images per second, and the processor time that the window took."""
        before = process_seconds(self.process.pid)
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        rate = self.answer()["images_per_second"]
        self.process.send_signal(signal.SIGSTOP)
        return rate, process_seconds(self.process.pid) - before

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.errors.close()


class Trawl:
    """`trawl model bench`, a process for each window; it warms up by itself."""

    def __init__(self, trawl, row, contestant, threads, environment):
        self.environment = environment
        model = row.package if contestant.precision == "bf16" else row.onnx or row.symbol
        self.command = [str(trawl), "model", "bench", model, "--json"]
        self.command += [f"--batch={row.batch}", f"--threads={threads}"]
        self.command += ["--latency"] if row.latency else []
        version = subprocess.run(
            [str(trawl), "--version"], capture_output=True, text=True, check=True
        )
        self.facts = {"version": version.stdout.split()[-1], "precision": contestant.precision}

    def window(self, seconds):
        process = subprocess.Popen(
            self.command + [f"--seconds={seconds}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
        )
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise RuntimeError(errors.strip() or "it ended")
        line = json.loads(output)
        self.facts["isa"] = line["isa"]
        return line["images_per_second"], usage.ru_utime + usage.ru_stime

    def close(self):
        pass


def quiet_window(runner, seconds):
    """(rate, whether the machine was quiet)."""
    for attempt in range(ATTEMPTS):
        start, busy, own = time.monotonic(), busy_seconds(), time.process_time()
        rate, used = runner.window(seconds)
        own = time.process_time() - own
        machine = (time.monotonic() - start) * os.cpu_count()
        if (busy_seconds() - busy - used - own) / machine <= FOREIGN_SHARE_MAX:
            return rate, True
        if attempt + 1 == ATTEMPTS:
            return rate, False
    raise AssertionError


def start(row, entrants, pythons, options):
    runners, problems = [], []
    for contestant in entrants:
        try:
            if contestant.runtime == "trawl":
                runner = Trawl(options.trawl, row, contestant, options.threads, options.environment)
            else:
                python = pythons[contestant.runtime]
                environment = dict(options.environment)
                if contestant.runtime in environments.SWITCHLESS:
                    environment.update(options.switchless)
                runner = Peer(python, row, contestant, options.threads, environment)
            runners.append((contestant, runner))
        except RuntimeError as error:
            problems.append((contestant, str(error)))
    return runners, problems


def measure(row, entrants, pythons, options):
    """Result lines, one for each contestant that can run the row."""
    runners, problems = start(row, entrants, pythons, options)
    rates = {id(runner): [] for _, runner in runners}
    loud = {id(runner): 0 for _, runner in runners}
    try:
        for _ in range(options.windows):
            for contestant, runner in list(runners):
                try:
                    rate, quiet = quiet_window(runner, options.seconds)
                except RuntimeError as error:
                    problems.append((contestant, str(error)))
                    runners.remove((contestant, runner))
                    continue
                rates[id(runner)].append(rate)
                loud[id(runner)] += not quiet
    finally:
        for _, runner in runners:
            runner.close()
    for contestant, problem in problems:
        print(f"{row.name}: {contestant.runtime}: {problem}", file=sys.stderr)
    return [
        {
            "model": row.name,
            "batch": row.batch,
            "mode": "latency" if row.latency else "throughput",
            "runtime": contestant.runtime,
            "way": contestant.label,
            "hint": contestant.precision,
            **runner.facts,
            "threads": options.threads,
            "images_per_second": statistics.median(rates[id(runner)]),
            "images_per_second_min": min(rates[id(runner)]),
            "images_per_second_max": max(rates[id(runner)]),
            "windows": len(rates[id(runner)]),
            "noisy_windows": loud[id(runner)],
        }
        for contestant, runner in runners
    ]
