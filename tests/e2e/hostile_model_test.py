"""Models that ask for what a file cannot hold are refused with one line, and in little memory.

Each file is written here byte by byte, as no exporter would. What the child had resident at its
peak is what the kernel counted for it: an upper bound, since the count begins with this process's
own pages at the fork. No time is asserted.
"""

import os
import struct
import subprocess
import unittest

import trawl_e2e as e2e

MOST_KIB = 256 << 10


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(tag, value):
    """A protobuf field: numbers as varints, text and messages with their length."""
    if isinstance(value, int):
        return varint(tag << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(tag << 3 | 2) + varint(len(data)) + data


def fields(tag, values):
    return b"".join(field(tag, value) for value in values)


def tensor(name, dims, data=b"", data_type=1, more=b""):
    return fields(1, dims) + field(2, data_type) + field(8, name) + field(9, data) + more


def attribute(name, ints):
    return field(1, name) + fields(8, ints) + field(20, 7)


def node(name, op, inputs, output, attributes=()):
    return (
        fields(1, inputs) + field(2, output) + field(3, name) + field(4, op) + fields(5, attributes)
    )


def value(name, *dims):
    shape = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


IMAGE = value("image", "N", 3, 8, 8)
LOGITS = value("logits", "N", 10)


def model(nodes, tensors=(), image=IMAGE):
    graph = fields(1, nodes) + field(2, "hostile") + fields(5, tensors)
    graph += field(11, image) + field(12, LOGITS)
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


def floats(count):
    return struct.pack("<f", 0.5) * count


def integers(*numbers):
    return struct.pack(f"<{len(numbers)}q", *numbers)


def conv(weight, attributes=(), image=IMAGE):
    return model([node("stem", "Conv", ["image", "w"], "logits", attributes)], [weight], image)


def external(path):
    place = field(13, field(1, "location") + field(2, path)) + field(14, 1)
    return conv(tensor("w", [4, 3, 3, 3], more=place))


def filled(*dims):
    """A tensor that a graph of a hundred bytes would have computed while it loads."""
    sizes = tensor("sizes", [len(dims)], integers(*dims), data_type=7)
    fill = node("fill", "ConstantOfShape", ["sizes"], "big")
    return model([fill, node("sum", "Add", ["image", "big"], "logits")], [sizes])


WEIGHT = tensor("w", [4, 3, 3, 3], floats(108))

ONNX = {
    # What is wrong: (the file, what the line must name).
    "a negative dimension": (conv(tensor("w", [4, -3, 3, 3], floats(108))), "w"),
    "sizes that overflow": (conv(tensor("w", [1 << 40, 1 << 40, 3, 3], floats(108))), "w"),
    "less data than its shape": (conv(tensor("w", [60000, 60000, 3, 3], floats(108))), "w"),
    "a stride of zero": (conv(WEIGHT, [attribute("strides", [0, 0])]), "stem"),
    "padding past all memory": (conv(WEIGHT, [attribute("pads", [1 << 40] * 4)]), "stem"),
    "an image past all memory": (
        conv(WEIGHT, image=value("image", "N", 3, 1 << 20, 1 << 20)),
        "the graph's input",
    ),
    "a cycle": (
        model(
            [
                node("first", "Add", ["image", "b"], "a"),
                node("second", "Relu", ["a"], "b"),
                node("last", "Relu", ["b"], "logits"),
            ]
        ),
        "first",
    ),
    "an input from nowhere": (model([node("last", "Relu", ["ghost"], "logits")]), "ghost"),
    "data in another file": (external("/etc/passwd"), "w"),
    "data outside the folder": (external("../../secret"), "w"),
    "a constant of terabytes": (filled(1 << 20, 1 << 20), "fill"),
    "a cut file": (conv(WEIGHT)[:-40], ""),
}


class HostileModelTest(e2e.EndToEndTest):
    def refusal(self, path):
        """The line that trawl wrote; checks that it refused, in one line and little memory."""
        with open(self.dir / "stderr", "w+", encoding="utf-8") as stderr:
            child = subprocess.Popen(
                [e2e.TRAWL, "model", "inspect", path],
                env=e2e.environment(),
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            stderr.seek(0)
            line = stderr.read()
        self.assertGreater(child.returncode, 0, line)  # not by a signal
        self.assertEqual(line.count("\n"), 1, line)
        self.assertLess(usage.ru_maxrss, MOST_KIB)
        return line

    def test_a_model_without_faults_is_taken(self):
        pool = node("pool", "GlobalAveragePool", ["maps"], "pooled")
        flat = node("flat", "Flatten", ["pooled"], "logits")
        stem = node("stem", "Conv", ["image", "w"], "maps")
        path = self.dir / "sound.onnx"
        path.write_bytes(model([stem, pool, flat], [tensor("w", [10, 3, 3, 3], floats(270))]))
        done = e2e.trawl("model", "inspect", path)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_onnx_files_are_refused_by_the_name_of_what_is_wrong(self):
        for what, (data, name) in ONNX.items():
            with self.subTest(what):
                path = self.dir / "hostile.onnx"
                path.write_bytes(data)
                self.assertIn(name, self.refusal(path))

    def test_symbols_that_nest_without_end_are_refused(self):
        path = self.dir / "deep-symbol.json"
        path.write_text('{"nodes": ' + "[" * 4_000_000, encoding="utf-8")
        (self.dir / "deep-0000.params").write_bytes(b"")
        self.refusal(path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
