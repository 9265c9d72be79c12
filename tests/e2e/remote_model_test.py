"""`--model` on a real S3 server and on a web server: fetched, kept, refused."""

import hashlib
import json
import os
import pathlib
import unittest

import s3_client
import trawl_e2e as e2e
from folder_server import FolderServer


class RemoteModelTest(e2e.EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.s3 = s3_client.S3Server()
        cls.addClassCleanup(cls.s3.close)
        for file in e2e.MODEL.iterdir():
            cls.s3.put(f"zoo/sample/{file.name}", file)
        cls.s3.put("zoo/single.onnx", e2e.MODEL / "sample.onnx")
        cls.pictures = e2e.sample_pictures()[:20]

    def setUp(self):
        super().setUp()
        self.cache = self.dir / "models"
        self.environment = self.s3.environment | {"TRAWL_MODEL_CACHE": str(self.cache)}

    def classify(self, model, *extra):
        return e2e.trawl(
            "classify", "--json", "--model", model, *extra, *self.pictures, env=self.environment
        )

    def run_job(self, model, *extra):
        bucket = self.dir / "bucket"
        bucket.mkdir(exist_ok=True)
        for picture in self.pictures:
            (bucket / picture.name).write_bytes(picture.read_bytes())
        command = ("run", bucket, "--db", self.db, "--job", "j", "--model", model, *extra)
        return e2e.trawl(*command, env=self.environment)

    def serve(self, folder):
        self.server = FolderServer(folder)
        self.addCleanup(self.server.close)
        return self.server.address.rstrip("/")

    def package(self, pinned=True):
        """The sample's package; its model.yaml says all digests, or not that of the labels."""
        folder = self.dir / "web" / "sample"
        folder.mkdir(parents=True)
        for file in e2e.MODEL.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        if pinned:
            yaml = folder / "model.yaml"
            labels = hashlib.sha256((folder / "labels.txt").read_bytes()).hexdigest()
            text = yaml.read_text().replace("sha256: {", f"sha256: {{labels.txt: {labels}, ")
            yaml.write_text(text)
        return folder

    def sha256(self, file):
        return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()

    def kept(self):
        names = os.listdir(self.cache) if self.cache.exists() else []
        return [name for name in names if name != "lock"]

    def test_a_package_below_a_prefix_is_the_one_that_lies_here(self):
        here = self.classify(e2e.MODEL)
        for model in ("s3://photos/zoo/sample", "s3://photos/zoo/sample/model.yaml"):
            there = self.classify(model)
            self.assertEqual(there.returncode, 0, there.stderr)
            self.assertEqual(there.stdout, here.stdout)

    def test_a_job_runs_on_a_model_in_a_bucket(self):
        done = self.run_job("s3://photos/zoo/sample/")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", [picture.name for picture in self.pictures])
        self.assertEqual(e2e.query(self.db, "SELECT name FROM models"), [("sample-onnx",)])

    def test_a_single_file_needs_no_yaml(self):
        done = self.run_job(
            "s3://photos/zoo/single.onnx", "--model-sha256", self.sha256(e2e.MODEL / "sample.onnx")
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", [picture.name for picture in self.pictures])

    def test_what_is_not_there_or_not_it_is_one_line_and_keeps_nothing(self):
        self.assert_clean_error(
            self.run_job("s3://photos/zoo/nothing"), 2, "nothing/model.yaml: 404"
        )
        wrong = self.run_job("s3://photos/zoo/single.onnx", "--model-sha256", "0" * 64)
        self.assert_clean_error(wrong, 2, "its sha256 is [0-9a-f]{64}, not 0{64}")
        self.assert_clean_error(self.run_job("s3://nowhere/zoo/"), 2, "NoSuchBucket|nowhere")
        self.assertEqual(self.kept(), [])
        self.assertFalse(self.db.exists())

    def test_a_web_server_is_asked_once_and_never_without_a_digest(self):
        folder = self.package()
        url = self.serve(folder.parent) + "/sample/"
        self.assert_clean_error(self.classify(url), 2, "needs --model-sha256")
        self.assertEqual(self.server.seen, [])
        for _ in range(2):
            done = self.classify(url, "--model-sha256", self.sha256(folder / "model.yaml"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(len(done.stdout.splitlines()), len(self.pictures))
            self.assertIn("predictions", json.loads(done.stdout.splitlines()[0]))
        self.assertEqual(
            sorted(self.server.seen),
            ["/sample/labels.txt", "/sample/model.yaml", "/sample/sample.onnx"],
        )

    def test_a_yaml_that_leaves_a_digest_out_is_no_pin(self):
        folder = self.package(pinned=False)
        url = self.serve(folder.parent) + "/sample/model.yaml"
        done = self.classify(url, "--model-sha256", self.sha256(folder / "model.yaml"))
        self.assert_clean_error(done, 2, "has to say the sha256 of 'labels.txt'")
        self.assertEqual(self.kept(), [])

    def test_the_model_commands_take_one_too(self):
        sha256 = self.sha256(e2e.MODEL / "sample.onnx")
        url = self.serve(e2e.MODEL) + "/sample.onnx"
        for model in ("s3://photos/zoo/single.onnx", url):
            with self.subTest(model=model):
                told = e2e.trawl(
                    *("model", "inspect", model, "--model-sha256", sha256, "--json"),
                    env=self.environment,
                )
                self.assertEqual(told.returncode, 0, told.stderr)
                here = e2e.trawl("model", "inspect", e2e.MODEL / "sample.onnx", "--json")
                there, local = json.loads(told.stdout), json.loads(here.stdout)
                self.assertEqual(there["nodes"], local["nodes"])
        arguments = ("--batch", "1", "--threads", "1", "--seconds", "0.05", "--json")
        rate = e2e.trawl(
            "model", "bench", "s3://photos/zoo/sample", *arguments, env=self.environment
        )
        self.assertEqual(rate.returncode, 0, rate.stderr)
        self.assertGreater(json.loads(rate.stdout)["images_per_second"], 0)
        folder = self.dir / "pictures"
        folder.mkdir()
        for picture in self.pictures:
            (folder / picture.name).write_bytes(picture.read_bytes())
        made = e2e.trawl(
            *("model", "quantize", "s3://photos/zoo/sample", "--calibrate", folder),
            *("--out", self.dir / "int8"),
            env=self.environment,
        )
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(self.classify(self.dir / "int8").returncode, 0)
        for command in ("inspect", "bench"):
            refused = e2e.trawl("model", command, url, env=self.environment)
            self.assert_clean_error(refused, 2, "needs --model-sha256")

    def test_a_damaged_model_is_fetched_again(self):
        self.assertEqual(self.classify("s3://photos/zoo/sample").returncode, 0)
        for weights in self.cache.rglob("sample.onnx"):
            weights.write_bytes(weights.read_bytes()[:-1])
        done = self.run_job("s3://photos/zoo/sample")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
