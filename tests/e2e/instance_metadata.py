"""The metadata service of an EC2 instance, version 2, as far as Trawl asks it."""

import http.server
import json
import secrets

from server_on_thread import Answering, ServerOnThread


class InstanceMetadata(ServerOnThread, http.server.ThreadingHTTPServer):
    """`notice`: what spot/instance-action holds, if there is one. `refused`: the requests that came
    without a session of this service."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.notice = None
        self.sessions = set()
        self.refused = []
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.serve()


class _Handler(Answering, http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        life = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token" or not life.isdigit() or not 0 < int(life) <= 21600:
            self.answer(400)
            return
        session = secrets.token_urlsafe()
        self.server.sessions.add(session)
        self.answer(200, session.encode())

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") not in self.server.sessions:
            self.server.refused.append(self.path)
            self.answer(401)
        elif self.path == "/latest/meta-data/spot/instance-action" and self.server.notice:
            self.answer(200, json.dumps(self.server.notice).encode())
        else:
            self.answer(404)
