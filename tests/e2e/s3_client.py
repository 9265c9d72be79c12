"""A real S3 server, and a client to fill it that is independent of trawl's signing, on purpose."""

import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.parse

import trawl_e2e as e2e

SCRIPT = e2e.SOURCE / "ops" / "testing" / "s3.sh"
ACCESS_KEY, SECRET_KEY, REGION = "trawl", "trawl-secret", "us-east-1"


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed_headers(method, host, path, body=b"", query=""):
    """Signature Version 4, as the S3 documentation describes it; `query` is in canonical form."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [method, path, query, *(f"{k}:{headers[k]}" for k in sorted(headers)), "", names, digest]
    )
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = b"AWS4" + SECRET_KEY.encode()
    for part in (now[:8], REGION, "s3", "aws4_request"):
        key = _hmac(key, part)
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, "
        f"Signature={_hmac(key, to_sign).hex()}"
    )
    return headers


class S3Server:
    """s3proxy with one bucket `photos`, started with the script that users have."""

    def __init__(self, virtual_host=False):
        self.virtual_host = virtual_host
        self.dir = tempfile.mkdtemp(prefix="trawl-s3-")
        self.port = e2e.free_port()
        self._start()
        self.endpoint = f"http://{'localhost' if virtual_host else '127.0.0.1'}:{self.port}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "TRAWL_S3_ENDPOINT": self.endpoint,
        }
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._request("PUT", "")

    def _start(self):
        subprocess.run(
            [SCRIPT, "start", self.dir, str(self.port)],
            env=os.environ | ({"S3_VIRTUAL_HOST": "localhost"} if self.virtual_host else {}),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=e2e.TIMEOUT_S,
        )

    def _stop(self):
        subprocess.run(
            [SCRIPT, "stop", self.dir], check=False, stdout=subprocess.DEVNULL, timeout=60
        )

    def close(self):
        self._connection.close()
        self._stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def put(self, key, body):
        if isinstance(body, pathlib.Path):
            body = body.read_bytes()
        self._request("PUT", key, body)

    def put_all(self, keys, body, connections=8):
        """As put, for many keys with one body."""

        def put_some(some):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            for key in some:
                self._request("PUT", key, body, connection)
            connection.close()

        with concurrent.futures.ThreadPoolExecutor(connections) as pool:
            list(pool.map(put_some, (keys[i::connections] for i in range(connections))))

    def delete(self, key):
        self._request("DELETE", key)

    def _request(self, method, key, body=b"", connection=None):
        connection = connection or self._connection
        host = f"photos.localhost:{self.port}" if self.virtual_host else f"127.0.0.1:{self.port}"
        path = "/" + urllib.parse.quote(key, safe="/-_.~")
        if not self.virtual_host:
            path = "/photos" + path.rstrip("/")
        headers = signed_headers(method, host, path, body)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise AssertionError(f"{method} {path}: {response.status} {text[:300]!r}")
