"""The sample's promises in numbers: accuracy, two forms that agree, a code per broken file.

Each form runs once over the bucket; all is then read from SQLite and held against truth.tsv.
"""

import csv
import pathlib
import shutil
import tempfile
import unittest

import trawl_e2e as e2e

FORMS = ("model-onnx", "model-mxnet")
TOP1_MIN = 0.95
# Two roads through the same float32 weights; only the order of additions may differ.
PROBABILITY_TOLERANCE = 1e-4


class SampleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="trawl-e2e-"))
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.db = folder / "results.sqlite"
        with open(e2e.SAMPLE / "truth.tsv", encoding="utf-8", newline="") as file:
            cls.truth = list(csv.DictReader(file, delimiter="\t"))
        for form in FORMS:
            done = e2e.trawl(
                "run", e2e.BUCKET, "--model", e2e.SAMPLE / form, "--db", cls.db, "--job", form
            )
            assert done.returncode == 1, f"{form}: exit code {done.returncode}: {done.stderr}"

    def top1(self, job):
        rows = e2e.query(self.db, "SELECT key, label, probability FROM top1 WHERE job = ?", job)
        return {key: (label, probability) for key, label, probability in rows}

    def test_both_forms_know_the_good_pictures(self):
        good = [row for row in self.truth if not row["error"]]
        for form in FORMS:
            with self.subTest(form):
                answers = self.top1(form)
                self.assertEqual(answers.keys(), {row["key"] for row in good})
                right = sum(answers[row["key"]][0] == row["class"] for row in good)
                self.assertGreaterEqual(right / len(good), TOP1_MIN)

    def test_both_forms_give_the_same_probabilities(self):
        onnx, mxnet = (self.top1(form) for form in FORMS)
        for key, (label, probability) in onnx.items():
            self.assertEqual(label, mxnet[key][0], key)
            self.assertAlmostEqual(probability, mxnet[key][1], msg=key, delta=PROBABILITY_TOLERANCE)

    def test_each_broken_file_has_its_code(self):
        expected = {row["key"]: row["error"] for row in self.truth if row["error"]}
        for form in FORMS:
            with self.subTest(form):
                rows = e2e.query(self.db, "SELECT key, code FROM failures WHERE job = ?", form)
                self.assertEqual(dict(rows), expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
