"""A web server of a folder."""

import functools
import http.server

from server_on_thread import ServerOnThread


class FolderServer(ServerOnThread, http.server.ThreadingHTTPServer):
    """Remembers in `seen` what was asked for; `pages`, {path: text}, come before files."""

    daemon_threads = True

    def __init__(self, folder, pages=()):
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.pages = dict(pages)
        self.seen = []
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.serve()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.path)
        if self.path not in self.server.pages:
            return super().do_GET()
        body = self.server.pages[self.path].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
