"""`trawl model quantize` on the sample: a package that runs, says what it is, and is the same each
time; and nothing at all where the model is not good enough.
"""

import json
import pathlib
import re
import struct
import unittest
import zlib

import trawl_e2e as e2e

TRUTH = e2e.SAMPLE / "truth.tsv"


HAS_BF16 = "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")


def png(width, height):
    """A black picture."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(3 * width)) * height)
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class QuantizeTest(e2e.EndToEndTest):
    def quantize(
        self, name, *arguments, calibrate=e2e.BUCKET, pictures=32, model=e2e.MODEL, exit_code=0
    ):
        out = self.dir / name
        done = e2e.trawl(
            *("model", "quantize", model, "--calibrate", calibrate, "--pictures", pictures),
            *("--out", out, *arguments),
        )
        self.assertEqual(done.returncode, exit_code, done.stderr)
        return out, done

    def test_the_package_classifies_as_the_model_does(self):
        for form in ("model-onnx", "model-mxnet"):
            out, done = self.quantize(
                form, "--validate", e2e.BUCKET, "--labels", TRUTH, model=e2e.SAMPLE / form
            )
            agreement = float(re.search(r"agreement +([0-9.]+) %", done.stdout)[1])
            self.assertGreaterEqual(agreement, 95)
            text = (out / "model.yaml").read_text()
            self.assertIn(f"agreement_percent: {agreement:.2f}", text)
            self.assertIn("calibration_digest:", text)
            inspected = json.loads(e2e.trawl("model", "inspect", out, "--json").stdout)
            self.assertRegex(inspected["digest"], "^[0-9a-f]{64}$")

    def test_the_same_pictures_give_the_same_bytes_and_other_ones_another_digest(self):
        first, _ = self.quantize("first")
        second, _ = self.quantize("second")
        third, _ = self.quantize("third", pictures=8)
        read = lambda folder: {p.name: p.read_bytes() for p in folder.iterdir()}
        self.assertEqual(read(first), read(second))
        digest = lambda out: re.search(
            "calibration_digest: (.*)", (out / "model.yaml").read_text()
        )[1]
        self.assertNotEqual(digest(first), digest(third))

    def test_below_the_agreement_asked_for_nothing_is_written(self):
        # A black picture's ranges hold nothing that other pictures need.
        black = self.dir / "black"
        black.mkdir()
        (black / "black.png").write_bytes(png(64, 64))
        out, done = self.quantize(
            *("worse", "--validate", e2e.BUCKET, "--layer-error", "100"),
            calibrate=black,
            exit_code=2,
        )
        self.assertIn("less than the 95 % asked for", done.stderr)
        self.assertEqual([p for p in self.dir.iterdir() if p.name.startswith("worse")], [])

    def test_a_quantised_model_is_refused(self):
        out, _ = self.quantize("once")
        _, done = self.quantize("twice", model=out, exit_code=2)
        self.assertIn("quantised already", done.stderr)

    def rounded(self, name, *arguments, env=None, exit_code=0):
        """A package in bf16."""
        out = self.dir / name
        command = ("model", "quantize", e2e.MODEL, "--precision", "bf16", "--out", out)
        done = e2e.trawl(*command, *arguments, env=env)
        self.assertEqual(done.returncode, exit_code, done.stderr)
        return out, done

    def inspected(self, model, env=None):
        done = e2e.trawl("model", "inspect", model, "--json", env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def kernels(self, model, env=None):
        return [node["kernel"] for node in self.inspected(model, env)["nodes"]]

    def test_a_package_in_bf16_needs_no_pictures_and_is_another_model(self):
        first, _ = self.rounded("first")
        second, _ = self.rounded("second")
        model, package = self.inspected(e2e.MODEL), self.inspected(first)
        self.assertEqual((model["precision"], package["precision"]), ("f32", "bf16"))
        self.assertNotEqual(model["digest"], package["digest"])
        self.assertEqual(package["digest"], self.inspected(second)["digest"])
        self.assertEqual([k for k in self.kernels(e2e.MODEL) if k.startswith("bf16")], [])
        in_bf16 = [k for k in self.kernels(first) if k.startswith("bf16")]
        self.assertEqual(in_bf16 != [], HAS_BF16)

    @unittest.skipUnless(HAS_BF16, "no AVX-512 BF16")
    def test_a_package_in_bf16_records_how_it_did(self):
        out, done = self.rounded("validated", "--validate", e2e.BUCKET, "--labels", TRUTH)
        agreement = float(re.search(r"agreement +([0-9.]+) %", done.stdout)[1])
        self.assertGreaterEqual(agreement, 99)
        text = (out / "model.yaml").read_text()
        self.assertIn(f"agreement_percent: {agreement:.2f}", text)
        self.assertNotIn("calibration", text)

    def test_without_products_of_bf16_a_package_runs_in_f32_and_cannot_be_measured(self):
        env = {"TRAWL_ISA": "portable"}
        out, _ = self.rounded("plain", env=env)
        self.assertEqual([k for k in self.kernels(out, env) if k.startswith("bf16")], [])
        picture = e2e.sample_pictures()[0]
        done = e2e.trawl("classify", "--model", out, picture, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        _, done = self.rounded("x", "--validate", e2e.BUCKET, env=env, exit_code=2)
        self.assertIn("AVX-512 BF16", done.stderr)
        self.assertEqual([p for p in self.dir.iterdir() if p.name.startswith("x")], [])

    def test_pictures_to_calibrate_with_are_for_int8(self):
        _, done = self.rounded("calibrated", "--calibrate", e2e.BUCKET, exit_code=2)
        self.assertIn("--calibrate", done.stderr)
        done = e2e.trawl("model", "quantize", e2e.MODEL, "--out", self.dir / "none")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--calibrate is required", done.stderr)

    def test_an_existing_folder_is_left_alone(self):
        out = self.dir / "mine"
        out.mkdir()
        _, done = self.quantize("mine", exit_code=2)
        self.assertIn("exists", done.stderr)
        self.assertEqual(list(out.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
