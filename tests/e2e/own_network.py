"""A network of a test's own: what is done to it, nobody else notices."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile

_ENTERED = "TRAWL_TEST_NETWORK"


def enter_own_network(resolv_conf):
    """Starts this script again in namespaces of its own, with a loopback and nothing else.
    Whoever is not root becomes it in a user namespace; where the host allows none, this fails.
    `resolv_conf` says whom programs ask for names there: the library that looks them up reads one
    file for everybody, which only a mount namespace can change for some."""
    if _ENTERED not in os.environ:
        command = ["unshare", "--net", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
        os.environ[_ENTERED] = "1"
        os.execvp(command[0], [*command, sys.executable, *sys.argv])
    _loopback_up()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(resolv_conf)
        file.flush()
        os.chmod(file.name, 0o644)
        target = os.path.realpath("/etc/resolv.conf")
        subprocess.run(["mount", "--bind", file.name, target], check=True)


def _loopback_up():
    set_flags, up_and_running = 0x8914, 0x41  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", up_and_running))
