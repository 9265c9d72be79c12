"""What the tests' own servers share: a thread that serves until the test is over."""

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
