"""A name server whose answers a test decides, and a network of the test's own to ask it in.

The library that looks names up asks whom /etc/resolv.conf names, on port 53: neither can be changed
for one program. A network and a mount namespace can hold another file and a port 53 of their own.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

_ENTERED = "TRAWL_TEST_NETWORK"
_ADDRESS = ("127.0.0.1", 53)
_SERVFAIL = 2
_A = 1
_RESOLV_CONF = f"nameserver {_ADDRESS[0]}\noptions timeout:1 attempts:1\n"


def enter_own_network():
    """Starts this script again in namespaces of its own, where names are asked of a NameServer.
    Whoever is not root becomes it in a user namespace; where the host allows none, this fails."""
    if _ENTERED not in os.environ:
        command = ["unshare", "--net", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
        os.environ[_ENTERED] = "1"
        os.execvp(command[0], [*command, sys.executable, *sys.argv])
    _loopback_up()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(_RESOLV_CONF)
        file.flush()
        os.chmod(file.name, 0o644)
        target = os.path.realpath("/etc/resolv.conf")
        subprocess.run(["mount", "--bind", file.name, target], check=True)


def _loopback_up():
    set_flags, up_and_running = 0x8914, 0x41  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", up_and_running))


class NameServer:
    """Answers every name with `address`; with None it answers SERVFAIL, with "" not at all."""

    def __init__(self, address):
        self.address = address
        self.questions = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(_ADDRESS)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self):
        self._closing = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", _ADDRESS)
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while True:
            question, who = self._socket.recvfrom(4096)
            if not question:
                return
            self.questions += 1
            address = self.address
            if address != "":
                self._socket.sendto(_answer(question, address), who)


def _answer(question, address):
    """An answer as RFC 1035 has it: the question, and for an IPv4 address one record."""
    end = question.index(b"\0", 12) + 5  # of the name, the type and the class
    (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
    records = b""
    if address and kind == _A:
        name_of_question, internet, seconds = 0xC00C, 1, 0
        records = struct.pack("!HHHIH", name_of_question, kind, internet, seconds, 4)
        records += socket.inet_aton(address)
    flags = 0x8180 | (0 if address else _SERVFAIL)
    counts = struct.pack("!HHHHH", flags, 1, 1 if records else 0, 0, 0)
    return question[:2] + counts + question[12:end] + records
