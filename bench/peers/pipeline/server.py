"""The bucket of a contest: a real S3 server on this machine, filled with pictures."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tarfile

SOURCE = pathlib.Path(__file__).resolve().parents[3]
sys.path.append(str(SOURCE / "tests" / "e2e"))
from s3_client import ACCESS_KEY, SECRET_KEY, S3Server  # noqa: E402
from trawl_e2e import wait_until  # noqa: E402

GATEWAY_VERSION = "v1.8.0"

SHARED = pathlib.Path(os.environ.get("TRAWL_SHARED", SOURCE.parent / "shared"))
PHOTOS = SHARED / "images" / "imagenet"
BUCKET = "photos"


def photos(count):
    """(folder, [(key, file)]): the photos, and again under other keys until they are enough."""
    files = sorted(p for p in PHOTOS.iterdir() if p.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise SystemExit(f"no photos in {PHOTOS}")
    pairs = ((i // len(files), files[i % len(files)]) for i in range(count))
    return PHOTOS, [(f"{round_:04}/{file.name}", file) for round_, file in pairs]


def cifar(count, scratch):
    """The same of CIFAR-10's test pictures, unpacked into one folder."""
    folder = scratch / "cifar"
    folder.mkdir()
    with tarfile.open(SHARED / "images" / "cifar10-test-png.tar") as archive:
        members = [m for m in archive if m.isfile() and m.name.endswith(".png")][:count]
        for member in members:
            flat = "-".join(pathlib.PurePosixPath(member.name).parts[-2:])
            (folder / flat).write_bytes(archive.extractfile(member).read())
    files = sorted(folder.iterdir())
    if len(files) < count:
        raise SystemExit(f"{count} pictures were asked for; the archive has {len(files)}")
    return folder, [(file.name, file) for file in files]


def gateway(folder):
    """versitygw, from the path or built once by Go; or None."""
    found = shutil.which("versitygw") or folder / "versitygw"
    if pathlib.Path(found).exists():
        return found
    if shutil.which("go") is None:
        return None
    print("building versitygw …", file=sys.stderr, flush=True)
    done = subprocess.run(
        ["go", "install", f"github.com/versity/versitygw/cmd/versitygw@{GATEWAY_VERSION}"],
        env={**os.environ, "GOBIN": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return found if done.returncode == 0 else None


class Proxy(S3Server):
    """The server of the tests. It takes milliseconds of the contestants' cores for each object."""

    name = "s3proxy"

    def _start(self):
        super()._start()
        self.pid = int((pathlib.Path(self.dir) / "pid").read_text(encoding="ascii"))

    def _stop(self):
        """Ended here: as this process's child it would wait to be taken note of."""
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


class Gateway(S3Server):
    """versitygw, which takes a tenth of that."""

    name = "versitygw"

    def __init__(self, executable):
        self.executable = executable
        super().__init__()

    def _start(self):
        command = [str(self.executable), "--quiet", "--keep-alive"]
        command += ["--port", f"127.0.0.1:{self.port}", "posix", self.dir]
        keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **keys},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self.process.pid
        wait_until(self.is_ready, "the S3 server's port")

    def is_ready(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _stop(self):
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def serving(pictures, folder, name=None):
    """A server with the pictures in its bucket, `photos`. `folder`: where a built one is kept."""
    executable = gateway(folder) if name in (None, Gateway.name) else None
    if name == Gateway.name and executable is None:
        raise SystemExit("versitygw is neither on the path nor can it be built here")
    server = Gateway(executable) if executable else Proxy()
    try:
        for key, file in pictures:
            server.put(key, file)
        yield server
    finally:
        server.close()
