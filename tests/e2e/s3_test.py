"""`trawl run` on a real S3 server that checks signatures: odd keys, many pages, refusals."""

import unittest

import s3_client
import trawl_e2e as e2e

ODD_KEYS = [
    "odd/sp ace/ü+&=%20.jpg",
    "odd/plus+plus.jpg",
    "odd/percent%41.jpg",
    "odd/amp&ersand.jpg",
    "odd/ünïcode/日本.jpg",
    "odd/quote'\"<>.jpg",
    "odd/tilde~()!*.jpg",
    # The longest key there can be, made of folders: the server keeps keys as files, whose names end
    # at 255 bytes.
    "odd/" + ("k" * 100 + "/") * 10 + "k" * 6 + ".jpg",
]


class S3Test(e2e.EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.s3 = s3_client.S3Server()
        cls.addClassCleanup(cls.s3.close)
        cls.pictures = e2e.sample_pictures()
        cls.keys = [f"many/{i:03}.jpg" for i in range(100)]
        for i, key in enumerate(cls.keys):
            cls.s3.put(key, cls.pictures[i])

    def run_job(self, source, *extra, env=None):
        return e2e.trawl(
            "run",
            source,
            "--model",
            e2e.MODEL,
            "--db",
            self.db,
            "--job",
            "j",
            *extra,
            env=self.s3.environment | (env or {}),
        )

    def test_a_prefix_in_many_pages(self):
        done = self.run_job("s3://photos/many/", "--list-page-keys", "7", "--batch-keys", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", self.keys)

    def test_odd_keys(self):
        self.assertEqual(max(len(key.encode()) for key in ODD_KEYS), 1024)
        for key, picture in zip(ODD_KEYS, self.pictures):
            self.s3.put(key, picture)
        done = self.run_job("s3://photos/odd/")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", ODD_KEYS)

    def test_gone_and_changed_between_listing_and_download(self):
        manifest = self.dir / "keys.jsonl"
        manifest.write_text(
            '{"key": "many/000.jpg", "etag": "00000000000000000000000000000000"}\n'
            '{"key": "many/gone.jpg"}\n'
            '{"key": "many/001.jpg", "size": 1}\n{"key": "many/002.jpg"}\n'
        )
        done = self.run_job("s3://photos/", "--manifest", manifest)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_each_key_once(
            "j", ["many/000.jpg", "many/gone.jpg", "many/001.jpg", "many/002.jpg"]
        )
        self.assertEqual(
            dict(e2e.query(self.db, "SELECT key, code FROM failures")),
            {"many/000.jpg": "changed", "many/gone.jpg": "not_found", "many/001.jpg": "changed"},
        )

    def test_a_wrong_secret_and_a_missing_bucket(self):
        wrong = self.run_job("s3://photos/many/", env={"AWS_SECRET_ACCESS_KEY": "wrong-secret"})
        self.assert_clean_error(wrong, 2, "SignatureDoesNotMatch")
        self.assertNotIn("wrong-secret", wrong.stderr)
        self.assert_clean_error(self.run_job("s3://nowhere/"), 2, "NoSuchBucket|nowhere")

    def test_anonymous_requests_are_not_signed(self):
        self.assert_clean_error(
            self.run_job("s3://photos/many/", "--anonymous"), 2, "AccessDenied|403"
        )

    def test_virtual_host_addressing(self):
        # Names below localhost resolve to this machine (RFC 6761).
        server = s3_client.S3Server(virtual_host=True)
        self.addCleanup(server.close)
        for key, picture in zip(ODD_KEYS[:4], self.pictures):
            server.put(key, picture)
        command = ("run", "s3://photos/", "--model", e2e.MODEL, "--db", self.db, "--job", "j")
        done = e2e.trawl(*command, "--s3-addressing", "virtual", env=server.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", ODD_KEYS[:4])


if __name__ == "__main__":
    unittest.main(verbosity=2)
