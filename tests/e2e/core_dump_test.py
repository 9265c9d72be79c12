"""A process's memory has credentials in it: no core file, unless people ask for one."""

import resource
import signal
import subprocess
import unittest

import trawl_e2e as e2e

SECRET = b"canary-secret-key"


def allow_core_files():
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


class CoreDumpTest(e2e.EndToEndTest):
    def setUp(self):
        super().setUp()
        folder = self.dir / "anybody"
        folder.mkdir()
        subprocess.run(
            ["sh", "-c", "kill -ABRT $$"], cwd=folder, preexec_fn=allow_core_files, check=False
        )
        if not any(folder.iterdir()):
            self.skipTest("a crash leaves no core file in its folder: core_pattern, ulimit -c")

    def crash(self, *flags):
        """Has trawl crash while it uses its credentials. Returns the core files that it leaves."""
        folder = self.dir / "-".join(["crashed", *flags])
        folder.mkdir()
        process = self.start_stuck(
            *flags,
            env={"AWS_ACCESS_KEY_ID": "canary", "AWS_SECRET_ACCESS_KEY": SECRET.decode()},
            cwd=folder,
            preexec_fn=allow_core_files,
        )
        process.send_signal(signal.SIGABRT)
        self.assertEqual(process.wait(timeout=e2e.TIMEOUT_S), -signal.SIGABRT)
        return list(folder.iterdir())

    def test_a_crash_leaves_no_core_file(self):
        self.assertEqual(self.crash(), [])

    def test_a_core_file_that_was_asked_for_has_secrets_in_it(self):
        [core] = self.crash("--core-dumps")
        self.assertIn(SECRET, core.read_bytes())


if __name__ == "__main__":
    unittest.main(verbosity=2)
