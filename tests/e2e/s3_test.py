"""`trawl run` on a real S3 server that checks signatures: odd keys, many pages, refusals."""

import gzip
import hashlib
import json
import subprocess
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

    def put_inventory(self, files, file_format="CSV"):
        """An inventory of bucket photos, laid out as S3 does, in the bucket itself."""
        folder = "inventories/photos/daily"
        named = []
        for i, rows in enumerate(files):
            packed = gzip.compress("".join(rows).encode())
            key = f"{folder}/data/{i}.csv.gz"
            self.s3.put(key, packed)
            md5 = hashlib.md5(packed).hexdigest()
            named.append({"key": key, "size": len(packed), "MD5checksum": md5})
        manifest = {
            "sourceBucket": "photos",
            "destinationBucket": "arn:aws:s3:::photos",
            "version": "2016-11-30",
            "fileFormat": file_format,
            "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size",
            "files": named,
        }
        key = f"{folder}/2026-01-01T00-00Z/manifest.json"
        self.s3.put(key, json.dumps(manifest).encode())
        return f"s3://photos/{key}"

    def inventory_rows(self, keys):
        sizes = {key: self.pictures[i].stat().st_size for i, key in enumerate(self.keys)}
        for key in keys:
            name = key.replace("/", "%2F")
            yield f'"photos","{name}","v2","true","false","{sizes[key]}"\n'
            yield f'"photos","{name}","v1","false","false","1"\n'
        yield '"photos","gone.jpg","v3","true","true",""\n'

    def run_inventory(self, manifest, *extra):
        return e2e.trawl(
            *("run", "--manifest", manifest, "--model", e2e.MODEL, "--db", self.db, "--job", "j"),
            *extra,
            env=self.s3.environment,
        )

    def test_an_inventory_on_s3_is_a_source(self):
        files = [self.inventory_rows(self.keys[:33]), self.inventory_rows(self.keys[33:])]
        manifest = self.put_inventory(files)
        done = self.run_inventory(manifest, "--list-page-keys", "7", "--batch-keys", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", self.keys)

    def test_an_inventory_that_is_damaged_or_in_another_format(self):
        manifest = self.put_inventory([self.inventory_rows(self.keys)])
        data = "inventories/photos/daily/data/0.csv.gz"
        self.s3.put(data, gzip.compress("".join(self.inventory_rows(self.keys[:3])).encode()))
        self.assert_clean_error(self.run_inventory(manifest), 2, "0.csv.gz")
        checksum = "inventories/photos/daily/2026-01-01T00-00Z/manifest.checksum"
        self.s3.put(checksum, b"d41d8cd98f00b204e9800998ecf8427e")
        self.assert_clean_error(self.run_inventory(manifest), 2, "manifest.checksum says d41d8cd9")
        self.s3.delete(checksum)
        self.s3.delete(data)
        self.assert_clean_error(
            self.run_inventory(manifest), 2, "0.csv.gz.*NoSuchKey|0.csv.gz.*404"
        )
        manifest = self.put_inventory([], file_format="Parquet")
        self.assert_clean_error(self.run_inventory(manifest), 2, "data files are Parquet; CSV can")
        self.assert_clean_error(
            self.run_inventory("s3://photos/nowhere/manifest.json"), 2, "nowhere/manifest.json"
        )

    def test_any_manifest_on_s3_and_one_packed_on_standard_input(self):
        packed = gzip.compress("".join(f"{key}\n" for key in self.keys[:20]).encode())
        self.s3.put("lists/keys.txt.gz", packed)
        done = self.run_job("s3://photos/", "--manifest", "s3://photos/lists/keys.txt.gz")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_each_key_once("j", self.keys[:20])
        self.db = self.dir / "piped.sqlite"
        piped = subprocess.run(
            [e2e.TRAWL, "run", "s3://photos/", "--manifest", "-"]
            + ["--model", e2e.MODEL, "--db", self.db, "--job", "j"],
            env=e2e.environment(self.s3.environment),
            input=packed,
            capture_output=True,
            timeout=e2e.TIMEOUT_S,
            check=False,
        )
        self.assertEqual(piped.returncode, 0, piped.stderr)
        self.assert_each_key_once("j", self.keys[:20])

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
