"""Wall clocks that are wrong by an hour, each role's in another way, and that jump back and forth.

What is waited for goes by clocks that nobody sets, requests are signed for the server's time once
it has said what that is, and each key ends in one outcome. wall_clock.cc is the clock.
"""

import os
import struct
import subprocess
import unittest

import s3_client
import trawl_e2e as e2e
from chaos_case import ChaosCase

WALL_CLOCK = os.environ.get(
    "TRAWL_WALL_CLOCK", str(e2e.SOURCE / "build/tests/e2e/libtrawl_wall_clock.so")
)
OFFSETS_S = {"producer": -3600, "collector": 1800, "worker-0": -3600, "worker-1": 3500}
STEP_S = 10
KEYS = 600


class ClockTest(ChaosCase):
    def set_clock(self, name, step_s=0):
        """Right away, also of a process that runs."""
        with open(self.dir / f"{name}.clock", "r+b" if step_s else "wb") as file:
            file.write(struct.pack("=q", OFFSETS_S[name] + step_s))

    def executable(self, name):
        clock = (f"LD_PRELOAD={WALL_CLOCK}", f"WALL_CLOCK={self.dir}/{name}.clock")
        return ["env", *clock, e2e.TRAWL]

    def test_roles_whose_clocks_are_an_hour_apart(self):
        s3 = s3_client.S3Server()
        self.addCleanup(s3.close)
        keys = [f"in/{i:03}.jpg" for i in range(KEYS)]
        s3.put_all(keys, e2e.sample_pictures()[0].read_bytes())
        self.fleet.environment |= s3.environment
        for name in OFFSETS_S:
            self.set_clock(name)
        worker = ("worker", f"--allow-root={e2e.SAMPLE}")
        for name, arguments in (
            ("collector", ("collector", "--db", self.fleet.db)),
            ("worker-0", worker),
            ("worker-1", worker),
        ):
            self.fleet.executable = self.executable(name)
            self.fleet.run(name, *arguments)
        self.produce()
        for step_s in (STEP_S, -STEP_S):
            for name in self.fleet.roles:
                self.set_clock(name, step_s)
            self.wait_for_rows(min(KEYS, self.fleet.rows() + 1))
        self.finish(keys)
        self.assertEqual(self.fleet.exits, {}, self.fleet.tail())

    def produce(self):
        done = subprocess.run(
            [*self.executable("producer"), "producer", "s3://photos/in/"]
            + ["--model", e2e.MODEL, "--job", self.fleet.job],
            env=e2e.environment(self.fleet.environment),
            timeout=e2e.TIMEOUT_S,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
