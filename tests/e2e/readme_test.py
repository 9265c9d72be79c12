"""The README is true: its SQL answers, its flags exist, its exit codes are those of --help."""

import re
import unittest

import trawl_e2e as e2e

README = (e2e.SOURCE / "README.md").read_text()


class ReadmeTest(e2e.EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.queries = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
        cls.commands = re.findall(
            r"\btrawl (run|producer|worker|collector|status|results|classify|model [a-z]+)\b"
            r"([^\n`]*)",
            README,
        )

    def test_there_are_five_queries_and_each_answers_on_the_sample(self):
        self.assertEqual(len(self.queries), 5)
        # Two jobs over one bucket, as the last query wants them; the model is one, its form is not.
        for job, model in (("photos-v1", "model-onnx"), ("photos-v2", "model-mxnet")):
            package = e2e.SAMPLE / model
            done = e2e.trawl("run", e2e.BUCKET, "--model", package, "--db", self.db, "--job", job)
            self.assertEqual(done.returncode, 1, done.stderr)
        for sql in self.queries:
            with self.subTest(sql=sql):
                rows = e2e.query(self.db, sql)
                if "photos-v2" not in sql:  # equal weights disagree nowhere
                    self.assertGreater(len(rows), 0)

    def test_the_queries_are_the_tested_ones(self):
        files = sorted((e2e.SOURCE / "storage/result_store/queries").glob("*.sql"))
        self.assertEqual([f.read_text().strip() for f in files], [q.strip() for q in self.queries])

    def test_every_flag_in_the_readme_exists(self):
        self.assertGreater(len(self.commands), 8)
        for command, rest in self.commands:
            text = e2e.trawl(*command.split(), "--help").stdout
            for flag in re.findall(r"(?<![-\w])--[a-z][a-z0-9-]+", rest.split("#")[0]):
                with self.subTest(command=command, flag=flag):
                    self.assertIn(flag, text)

    def test_exit_codes_are_those_of_the_help(self):
        codes = re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)
        self.assertEqual(len(codes), 7)
        text = e2e.trawl("--help").stdout
        for code in codes:
            self.assertRegex(text, rf"\b{code} ")


if __name__ == "__main__":
    unittest.main(verbosity=2)
