"""`trawl run` on an S3 endpoint whose name cannot be resolved for a while, or that moves: no object
is lost and none is blamed. Names are asked of the test's own name server, in a network of its own;
TRAWL_NAMES_TROUBLE_S scales the trouble."""

import json
import os
import time
import unittest

import name_server
import s3_client
import trawl_e2e as e2e
from troubled_store import BROKEN_OFF, TroubledStore

TROUBLE_S = float(os.environ.get("TRAWL_NAMES_TROUBLE_S", "1"))
HERE, THERE = "127.0.0.2", "127.0.0.3"
SERVFAIL, SILENCE = None, ""


class NamesTest(e2e.EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.s3 = s3_client.S3Server()
        cls.addClassCleanup(cls.s3.close)
        pictures = e2e.sample_pictures()
        cls.keys = [f"many/{i:03}.jpg" for i in range(200)]
        for i, key in enumerate(cls.keys):
            cls.s3.put(key, pictures[i % len(pictures)])

    def setUp(self):
        super().setUp()
        self.names = name_server.NameServer(HERE)
        self.addCleanup(self.names.close)
        self.store = TroubledStore(self.s3.port, HERE)
        self.addCleanup(self.store.close)
        self.port = self.store.server_port

    def start(self, **settings):
        self.db = self.dir / f"{len(list(self.dir.iterdir()))}.sqlite"
        self.log = self.db.with_suffix(".log")
        settings["TRAWL_S3_ENDPOINT"] = f"http://store.test:{self.port}"
        with open(self.log, "w", encoding="utf-8") as log:
            job = e2e.start(
                *("run", "s3://photos/many/", "--model", e2e.MODEL, "--db", self.db, "--job", "j"),
                env=self.s3.environment | settings,
                log=log,
            )
        self.addCleanup(job.kill)
        return job

    def assert_all_done(self, job):
        job.wait(e2e.TIMEOUT_S)
        log = self.log.read_text()
        self.assertEqual(e2e.query(self.db, "SELECT key, message FROM failures"), [], log)
        self.assertEqual(job.returncode, 0, log)
        self.assert_each_key_once("j", self.keys)

    def wait_for_questions(self, count):
        before = self.names.questions
        e2e.wait_until(lambda: self.names.questions >= before + count, "questions")

    def test_names_that_are_not_resolved_for_a_while(self):
        for trouble in (SERVFAIL, SILENCE):
            with self.subTest(trouble=trouble):
                self.break_off_after(50)
                self.names.address = HERE
                job = self.start()
                e2e.wait_until(lambda: "downloads are paused" in self.log.read_text(), "a pause")
                self.names.address = trouble
                self.store.decide = lambda key: None
                self.wait_for_questions(4)
                time.sleep(TROUBLE_S)
                self.names.address = HERE
                self.assert_all_done(job)

    def break_off_after(self, count):
        served = set()

        def decide(key):
            served.add(key)
            return BROKEN_OFF if len(served) > count else None

        self.store.decide = decide

    def test_a_store_that_moves_and_leaves_its_connections_behind(self):
        there = TroubledStore(self.s3.port, THERE, self.port)
        self.addCleanup(there.close)
        job = self.start(TRAWL_FIRST_BYTE_TIMEOUT_MS="1000")
        e2e.wait_until(lambda: self.store.count() > 50, "some objects")
        self.store.leave()
        self.names.address = THERE
        self.assert_all_done(job)
        self.assertGreater(there.count(), 0)


if __name__ == "__main__":
    name_server.enter_own_network()
    unittest.main(verbosity=2)
