"""A name server whose answers a test decides, for a network of its own (own_network.py): it is
asked on port 53 by whoever reads RESOLV_CONF."""

import socket
import struct
import threading

_ADDRESS = ("127.0.0.1", 53)
_SERVFAIL = 2
_A = 1
RESOLV_CONF = f"nameserver {_ADDRESS[0]}\noptions timeout:1 attempts:1\n"


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
