"""What the tests' own servers share: a thread that serves until the test is over, and answers."""

import contextlib
import threading


class ServerOnThread:
    """Mixed into a socketserver.BaseServer."""

    def serve(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Answering:
    """Mixed into an http.server.BaseHTTPRequestHandler, before it."""

    def answer(self, status, body=b"", headers=()):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody waits any more
            self.send_response(status)
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass
