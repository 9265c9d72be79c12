"""A job in a container's share of memory: the setting `memory` follows the limit, and nothing of it
is killed for memory, whatever pictures come, and however large."""

import lzma
import os
import pathlib
import unittest

import large_pictures
import trawl_e2e as e2e
from memory_group import MemoryGroup

SHARED = pathlib.Path(os.environ.get("TRAWL_SHARED", e2e.SOURCE.parent / "shared"))
RESNET18 = SHARED / "models" / "resnet18-imagenet" / "resnet18-imagenet.onnx.xz"
LIMIT = 512 << 20
SIDES = (6000, 4000)
WARNING = "the setting memory is more than this process may have"


class MemoryTest(e2e.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.group = MemoryGroup(LIMIT)
        self.addCleanup(self.group.close)

    def trawl(self, *arguments):
        return self.group.run(
            *(e2e.TRAWL, *arguments),
            env=e2e.environment(),
            capture_output=True,
            text=True,
            timeout=2 * e2e.TIMEOUT_S,
        )

    def run_job(self, source, model, *arguments, job="j"):
        command = ("run", source, "--model", model, "--db", self.db, "--job", job)
        return self.trawl(*command, "--log-level", "info", *arguments)

    def make_bucket(self):
        """Pictures of 24 megapixels of each kind, between small ones."""
        bucket = self.dir / "bucket"
        bucket.mkdir()
        kinds = {
            "baseline.jpg": large_pictures.jpeg(*SIDES),
            "progressive.jpg": large_pictures.jpeg(*SIDES, progressive=True),
            "noise.png": large_pictures.png(*SIDES),
        }
        small = e2e.sample_pictures()
        for i in range(12):
            for kind, data in kinds.items():
                (bucket / f"{i:02}-{kind}").write_bytes(data)
            for picture in small[4 * i : 4 * i + 4]:
                (bucket / f"{i:02}-{picture.name}").write_bytes(picture.read_bytes())
        return bucket

    def test_large_pictures_of_every_kind_are_classified_within_512_mib(self):
        model = self.dir / RESNET18.stem
        model.write_bytes(lzma.decompress(RESNET18.read_bytes()))
        bucket = self.make_bucket()
        keys = [path.name for path in bucket.iterdir()]
        done = self.run_job(bucket, model)
        print(f"{len(keys)} keys, peak {self.group.peak_bytes() >> 20} MiB", flush=True)
        self.assertEqual(self.group.oom_kills(), 0, done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("decoders are sandboxed", done.stderr)
        self.assertNotIn(WARNING, done.stderr)
        self.assert_each_key_once("j", keys)
        self.assertEqual(e2e.query(self.db, "SELECT key, message FROM failures"), [])

    def test_the_default_follows_the_limit_and_says_so(self):
        settings = self.trawl("settings").stdout.splitlines()
        [memory] = [line for line in settings if line.startswith("memory ")]
        self.assertIn(f" {LIMIT // 100 * 60} ", memory)
        self.assertIn(f" of {self.group.folder} ({LIMIT} bytes)", memory)
        done = self.run_job(e2e.BUCKET, e2e.MODEL)
        [ready] = [line for line in done.stderr.splitlines() if "worker ready" in line]
        self.assertIn(f" memory={LIMIT // 100 * 60} memory_limit={LIMIT} ", ready)
        self.assertNotIn(WARNING, done.stderr)

    def test_who_sets_more_than_the_limit_gets_it_and_a_warning(self):
        done = self.run_job(e2e.BUCKET, e2e.MODEL, "--memory", "1GiB")
        self.assertIn(f" memory={1 << 30} ", done.stderr)
        self.assertEqual(done.stderr.count(WARNING), 1, done.stderr)
        done = self.run_job(e2e.BUCKET, e2e.MODEL, "--memory", "500MiB", job="less")
        self.assertNotIn(WARNING, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
