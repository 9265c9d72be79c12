"""How contestants reach the bucket: pages of its listing, and one object at a time, all signed.

For Python 3.9 and later, with nothing but the standard library.
"""

import concurrent.futures
import http.client
import pathlib
import sys
import threading
import urllib.parse
import xml.etree.ElementTree

sys.path.append(str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "e2e"))
from s3_client import signed_headers  # noqa: E402


class Bucket:
    """Each thread has a connection of its own, kept open."""

    def __init__(self, endpoint, name):
        self.endpoint = endpoint
        self.host = urllib.parse.urlsplit(endpoint).netloc
        self.name = name
        self.local = threading.local()

    def __reduce__(self):
        return Bucket, (self.endpoint, self.name)

    def path(self, key):
        return f"/{self.name}/{urllib.parse.quote(key, safe='/-_.~')}"

    def headers(self, path, query=""):
        return signed_headers("GET", self.host, path, query=query)

    def request(self, path, query=""):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection(self.host, timeout=60)
        connection = self.local.connection
        target = f"{path}?{query}" if query else path
        connection.request("GET", target, headers=self.headers(path, query))
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise OSError(f"GET {target}: {response.status}")
        return body

    def get(self, key):
        return self.request(self.path(key))

    def pages(self):
        """Lists of keys."""
        token = ""
        while True:
            query = {"list-type": "2"} | ({"continuation-token": token} if token else {})
            canonical = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)
            page = xml.etree.ElementTree.fromstring(self.request(f"/{self.name}", canonical))
            yield [element.text for element in page.iter() if element.tag.endswith("}Key")]
            tokens = (e.text for e in page.iter() if e.tag.endswith("}NextContinuationToken"))
            token = next(tokens, "")
            if not token:
                return

    def fetch(self, keys, at_once=16):
        """(key, bytes) in the order of the keys; downloads run ahead on threads."""
        with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
            yield from zip(keys, threads.map(self.get, keys))
