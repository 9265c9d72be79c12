"""`trawl run` on an S3 endpoint that slows down, breaks down, or lets nobody in: no object is lost
and none is blamed. A proxy before a real S3 server plays the trouble; requests are counted."""

import itertools
import threading
import unittest

import trawl_e2e as e2e
from store_case import StoreCase
from troubled_store import TroubledStore

SLOW_DOWN = (
    503,
    b"<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>",
)
BROKEN = (503, b"<Error><Code>ServiceUnavailable</Code></Error>")
INVALID_KEY = (403, b"<Error><Code>InvalidAccessKeyId</Code></Error>")
DENIED = (403, b"<Error><Code>AccessDenied</Code></Error>")


class OutageTest(StoreCase):
    def setUp(self):
        super().setUp()
        self.trouble = TroubledStore(self.s3.port)
        self.addCleanup(self.trouble.close)
        self.endpoint = f"http://127.0.0.1:{self.trouble.server_port}"

    def run_through(self, reply, after):
        """Runs a job whose server answers `reply` to everybody once `after` objects were served,
        and is well again when trawl says that it waits."""
        served, sick = set(), threading.Event()
        sick.set()

        def decide(key):
            if not sick.is_set():
                return None
            if len(served) < after:
                served.add(key)
                return None
            return reply

        self.trouble.decide = decide
        self.start(self.endpoint)
        self.wait_for_words("downloads are paused")
        sick.clear()
        self.assert_all_done()

    def test_thirty_percent_slow_down(self):
        turns = itertools.cycle((1, 0, 0, 1, 0, 0, 1, 0, 0, 0))  # a die would be unlucky at times
        self.trouble.decide = lambda key: SLOW_DOWN if next(turns) else None
        self.start(self.endpoint)
        self.assert_all_done()
        most = 1.6 * len(self.keys) + self.assert_told()["hedges"]
        self.assertLessEqual(self.trouble.count(), most, self.log.read_text())

    def assert_told(self):
        """`trawl status` tells throttling apart from failures, and what was asked for."""
        downloads = self.downloads()
        self.assertGreater(downloads["throttled"], 0.1 * len(self.keys), downloads)
        self.assertGreaterEqual(downloads["retries"], downloads["throttled"] * 0.9, downloads)
        # Listings are counted, too, and the proxy does not see what was sent off too late.
        self.assertAlmostEqual(downloads["requests"], self.trouble.count(), delta=10)
        self.assertRegex(
            e2e.trawl("status", "j", "--db", self.db).stdout,
            rf"downloads .* {downloads['throttled']} throttled",
        )
        return downloads

    def test_outages(self):
        for reply, after in ((BROKEN, 50), (SLOW_DOWN, 50), (BROKEN, 0)):
            with self.subTest(reply=reply, after=after):
                self.run_through(reply, after)

    def test_credentials_that_are_refused_for_a_while(self):
        for reply, after in ((INVALID_KEY, 20), (DENIED, 20), (INVALID_KEY, 0)):
            with self.subTest(reply=reply, after=after):
                self.run_through(reply, after)

    def test_one_forbidden_object_is_one_failure(self):
        self.trouble.decide = lambda key: DENIED if key == "many/100.jpg" else None
        self.start(self.endpoint)
        self.assert_ends_with(1)
        self.assertEqual(
            e2e.query(self.db, "SELECT key, code FROM failures"), [("many/100.jpg", "forbidden")]
        )
        most = 1 + self.downloads()["hedges"]  # each of them a second request for a late answer
        self.assertLessEqual(self.trouble.requests["many/100.jpg"], most)


if __name__ == "__main__":
    unittest.main(verbosity=2)
