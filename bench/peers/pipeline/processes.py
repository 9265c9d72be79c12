"""A contestant's processes: all that descend from this one, whoever started them and is gone."""

import ctypes
import dataclasses
import os
import pathlib
import signal
import threading

SAMPLE_SECONDS = 0.5


def adopt_orphans():
    """What daemons leave behind becomes this process's child, and can be counted and ended."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def parents():
    """Each process's parent."""
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended
        found[int(stat.parent.name)] = int(fields[1])
    return found


def descendants(strangers):
    """Of this process, without `strangers` and theirs."""
    children = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found, waiting = [], [os.getpid()]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            if pid not in strangers:
                found.append(pid)
                waiting.append(pid)
    return found


@dataclasses.dataclass
class Memory:
    """In MiB. Resident counts a shared page once in each process, proportional once in all."""

    resident: float = 0
    proportional: float = 0


def memory(pids):
    total = Memory()
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        sizes = dict(line.split()[:2] for line in text.splitlines()[1:])
        total.resident += int(sizes.get("Rss:", 0)) / 1024
        total.proportional += int(sizes.get("Pss:", 0)) / 1024
    return total


class PeakMemory:
    """Samples on a thread until it is left."""

    def __init__(self, strangers):
        self.strangers = strangers
        self.peak = Memory()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.sample)

    def sample(self):
        while not self.over.wait(SAMPLE_SECONDS):
            now = memory(descendants(self.strangers))
            self.peak.resident = max(self.peak.resident, now.resident)
            self.peak.proportional = max(self.peak.proportional, now.proportional)

    def __enter__(self):
        self.thread.start()
        return self.peak

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def end(strangers):
    """Kills what a contestant left running, and waits until all of it is gone."""
    while pids := descendants(strangers):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for pid in pids:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass  # not ours yet: its parent has to end first
