"""A web server with pictures that a test makes its clients wait for."""

import http.server
import threading

import trawl_e2e as e2e
from server_on_thread import Answering, ServerOnThread


class SlowStore(ServerOnThread, http.server.ThreadingHTTPServer):
    """Serves pictures, but those that `holds(key)` not before `release` is set."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pictures = [path.read_bytes() for path in e2e.sample_pictures()[:4]]
        self.holds = lambda key: True
        self.release = threading.Event()
        self.asked = set()
        self.address = f"http://127.0.0.1:{self.server_port}/"
        # Who waits for it waits as long as a test holds it.
        self.environment = {
            "TRAWL_FIRST_BYTE_TIMEOUT_MS": "3600000",
            "TRAWL_DOWNLOAD_TIMEOUT_MS": "3600000",
        }
        self.serve()

    def write_manifest(self, path, count):
        """`count` keys that it serves; returns them."""
        keys = [f"{i:04}.jpg" for i in range(count)]
        path.write_text("".join(f"{key}\n" for key in keys))
        return keys

    def close(self):
        self.release.set()
        super().close()


class _Handler(Answering, http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        key = self.path.removeprefix("/")
        self.server.asked.add(key)
        if self.server.holds(key):
            self.server.release.wait()
        body = self.server.pictures[int(key.split(".")[0]) % len(self.server.pictures)]
        self.answer(200, body)
