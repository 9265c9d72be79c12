"""`trawl run` on an S3 endpoint whose name cannot be resolved for a while, or that moves: no object
is lost and none is blamed. Names are asked of the test's own name server, in a network of its own;
TRAWL_NAMES_TROUBLE_S scales the trouble."""

import os
import time
import unittest

import name_server
import trawl_e2e as e2e
from own_network import enter_own_network
from store_case import StoreCase
from troubled_store import BROKEN_OFF, TroubledStore

TROUBLE_S = float(os.environ.get("TRAWL_NAMES_TROUBLE_S", "1"))
HERE, THERE = "127.0.0.2", "127.0.0.3"
SERVFAIL, SILENCE = None, ""


class NamesTest(StoreCase):
    def setUp(self):
        super().setUp()
        self.names = name_server.NameServer(HERE)
        self.addCleanup(self.names.close)
        self.store = TroubledStore(self.s3.port, HERE)
        self.addCleanup(self.store.close)
        self.port = self.store.server_port
        self.endpoint = f"http://store.test:{self.port}"

    def wait_for_questions(self, count):
        before = self.names.questions
        e2e.wait_until(lambda: self.names.questions >= before + count, "questions")

    def test_names_that_are_not_resolved_for_a_while(self):
        for trouble in (SERVFAIL, SILENCE):
            with self.subTest(trouble=trouble):
                self.break_off_after(50)
                self.names.address = HERE
                self.start(self.endpoint)
                self.wait_for_words("downloads are paused")
                self.names.address = trouble
                self.store.decide = lambda key: None
                self.wait_for_questions(4)
                time.sleep(TROUBLE_S)
                self.names.address = HERE
                self.assert_all_done()

    def break_off_after(self, count):
        served = set()

        def decide(key):
            served.add(key)
            return BROKEN_OFF if len(served) > count else None

        self.store.decide = decide

    def test_a_store_that_moves_and_leaves_its_connections_behind(self):
        there = TroubledStore(self.s3.port, THERE, self.port)
        self.addCleanup(there.close)
        self.start(self.endpoint, env={"TRAWL_FIRST_BYTE_TIMEOUT_MS": "1000"})
        e2e.wait_until(lambda: self.store.count() > 50, "some objects")
        self.store.leave()
        self.names.address = THERE
        self.assert_all_done()
        self.assertGreater(there.count(), 0)


if __name__ == "__main__":
    enter_own_network(name_server.RESOLV_CONF)
    unittest.main(verbosity=2)
