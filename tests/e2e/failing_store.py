"""An S3 server that has nothing, as a process of its own: fast, for a job that fails as a whole.

Real servers, too, repeat in their errors what they were sent: this one repeats all of it.
"""

import asyncio
import html
import subprocess
import sys


class FailingStore:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE)
        self.endpoint = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class _Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.received = b""

    def data_received(self, data):
        *heads, self.received = (self.received + data).split(b"\r\n\r\n")
        for head in heads:
            said = html.escape(head.decode(errors="replace"))
            body = f"<Error><Code>NoSuchKey</Code><Message>{said}</Message></Error>".encode()
            self.transport.write(b"HTTP/1.1 404 -\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def _serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
