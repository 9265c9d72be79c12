"""A web server of a folder."""

import functools
import http.server

from server_on_thread import Answering, ServerOnThread


class FolderServer(ServerOnThread, http.server.ThreadingHTTPServer):
    """Remembers in `seen` what was asked for; `pages`, {path: text}, come before files."""

    daemon_threads = True

    def __init__(self, folder, pages=()):
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.pages = dict(pages)
        self.seen = []
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.serve()


class _Handler(Answering, http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.path)
        if self.path in self.server.pages:
            self.answer(200, self.server.pages[self.path].encode())
        else:
            super().do_GET()
