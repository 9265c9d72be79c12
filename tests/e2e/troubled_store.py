"""A proxy before a real S3 server that plays the trouble which a test wants, and counts."""

import collections
import http.client
import http.server
import threading

from server_on_thread import Answering, ServerOnThread

BROKEN_OFF = "the connection is closed instead of an answer"


class TroubledStore(ServerOnThread, http.server.ThreadingHTTPServer):
    """Passes requests on to the S3 server, but for GETs of objects that `decide(key)` answers."""

    daemon_threads = True

    def __init__(self, target, host="127.0.0.1", port=0):
        super().__init__((host, port), _Handler)
        self.target = target
        self.decide = lambda key: None
        self.left = False
        self.closed = threading.Event()
        self.requests = collections.Counter()  # by key
        self.lock = threading.Lock()
        self.serve()

    def leave(self):
        """Lets nobody in any more, and never answers those who have a connection."""
        self.left = True
        super().close()

    def close(self):
        self.closed.set()
        self.leave()

    def count(self):
        with self.lock:
            return self.requests.total()


class _Handler(Answering, http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.server.left:
            self.server.closed.wait()
            self.close_connection = True
            return
        key = self.path.removeprefix("/photos/")
        is_object = self.path.startswith("/photos/") and "?" not in key
        reply = None
        if is_object:
            with self.server.lock:
                self.server.requests[key] += 1
                reply = self.server.decide(key)
        if reply == BROKEN_OFF:
            self.close_connection = True
            return
        status, body, headers = (*reply, {}) if reply else self.pass_on()
        self.answer(status, body, headers)

    def pass_on(self):
        # The Host header stays as it was signed.
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        connection.request("GET", self.path, headers=dict(self.headers))
        response = connection.getresponse()
        body = response.read()
        connection.close()
        kept = {k: v for k, v in response.getheaders() if k.lower() in ("etag", "content-range")}
        return response.status, body, kept
