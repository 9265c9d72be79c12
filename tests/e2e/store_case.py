"""A job on the bucket of a real S3 server in trouble for a while: what such tests share."""

import json

import s3_client
import trawl_e2e as e2e


class StoreCase(e2e.EndToEndTest):
    """200 pictures below s3://photos/many/, and a job beside its test."""

    @classmethod
    def setUpClass(cls):
        cls.s3 = s3_client.S3Server()
        cls.addClassCleanup(cls.s3.close)
        pictures = e2e.sample_pictures()
        cls.keys = [f"many/{i:03}.jpg" for i in range(200)]
        for i, key in enumerate(cls.keys):
            cls.s3.put(key, pictures[i % len(pictures)])

    def start(self, endpoint, env=None):
        """Begins a job with a database of its own; `self.log` is what it says."""
        self.db = self.dir / f"{len(list(self.dir.iterdir()))}.sqlite"
        self.log = self.db.with_suffix(".log")
        command = ("run", "s3://photos/many/", "--model", e2e.MODEL, "--db", self.db, "--job", "j")
        settings = self.s3.environment | {"TRAWL_S3_ENDPOINT": endpoint} | (env or {})
        with open(self.log, "w", encoding="utf-8") as log:
            self.job = e2e.start(*command, env=settings, log=log)
        self.addCleanup(self.job.wait)
        self.addCleanup(self.job.kill)

    def wait_for_words(self, words):
        e2e.wait_until(lambda: words in self.log.read_text(), words)

    def assert_ends_with(self, code):
        self.assertEqual(self.job.wait(e2e.TIMEOUT_S), code, self.log.read_text())
        self.assert_each_key_once("j", self.keys)

    def assert_all_done(self):
        self.assert_ends_with(0)
        log = self.log.read_text()
        self.assertEqual(e2e.query(self.db, "SELECT key, message FROM failures"), [], log)

    def downloads(self):
        """What `trawl status` tells of them."""
        told = e2e.trawl("status", "j", "--db", self.db, "--json").stdout
        return json.loads(told)["downloads"]
