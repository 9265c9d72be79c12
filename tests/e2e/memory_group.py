"""A control group of a test's own that limits memory, of whichever version the host has."""

import os
import pathlib
import subprocess
import unittest

import trawl_e2e as e2e


class MemoryGroup:
    """`folder` is its own; what runs in it and what that starts may have `limit` bytes together."""

    def __init__(self, limit):
        self.limit = limit
        self.folder, self.version = _make_group()
        try:
            if self.version == 1:
                self._write("memory.limit_in_bytes", limit)
                self._write_if_there("memory.memsw.limit_in_bytes", limit)
            else:
                self._write("memory.max", limit)
                self._write_if_there("memory.swap.max", 0)
        except OSError as error:
            self.close()
            raise unittest.SkipTest(f"NO MEMORY LIMIT CAN BE SET HERE: {error}") from error

    def close(self):
        e2e.wait_until(self._remove, "the end of all that was in the group")

    def _remove(self):
        try:
            self.folder.rmdir()
        except OSError:
            return False
        return True

    def run(self, *command, **options):
        """As subprocess.run, within the group."""
        enter = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', self.folder]
        return subprocess.run([*enter, *map(str, command)], check=False, **options)

    def oom_kills(self):
        """How many of its processes the kernel killed for memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        counts = dict(line.split() for line in (self.folder / name).read_text().splitlines())
        return int(counts["oom_kill"])

    def peak_bytes(self):
        """With the page cache, which takes what there is."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return int((self.folder / name).read_text())

    def _write(self, name, value):
        (self.folder / name).write_text(f"{value}\n")

    def _write_if_there(self, name, value):
        if (self.folder / name).exists():
            self._write(name, value)


def _make_group():
    """A group below this process's own, and its version; SkipTest where none can be made."""
    reasons = []
    for version, parent in _own_groups():
        folder = parent / f"trawl-e2e-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError as error:
            reasons.append(str(error))
            continue
        if (folder / ("memory.limit_in_bytes" if version == 1 else "memory.max")).exists():
            return folder, version
        folder.rmdir()
        reasons.append(f"{parent} does not hand the memory controller on")
    raise unittest.SkipTest(f"NO MEMORY GROUP CAN BE MADE HERE: {'; '.join(reasons)}")


def _own_groups():
    groups = {}  # by controllers; version 2 has none here
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, kind = (half.split() for half in line.split(" - "))
        top, mounted = fields[3].rstrip("/"), pathlib.Path(fields[4])
        first = kind[0] == "cgroup" and "memory" in kind[2].split(",")
        path = groups.get("memory" if first else "")
        if path is not None and (first or kind[0] == "cgroup2"):
            below = path.removeprefix(top) if path.startswith(top + "/") else ""
            yield 1 if first else 2, mounted / below.lstrip("/")
