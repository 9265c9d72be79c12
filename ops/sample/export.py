"""Writes the network as ONNX and as MXNet 1.9 `-symbol.json` + `.params`, each a model package."""

import hashlib
import json
import struct

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from network import BatchNorm, Conv, Dense, GlobalAveragePool, MaxPool, Relu, Residual


class OnnxGraph:
    """Collects nodes; each method returns the name of the value that it makes."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, name, inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, layer, x):
        k, s, pad = layer.kernel, layer.stride, layer.kernel // 2
        weight = self.weight(layer.name + "_weight", layer.oihw())
        return self.node(
            "Conv", layer.name, [x, weight], kernel_shape=[k, k], strides=[s, s], pads=[pad] * 4
        )

    def batch_norm(self, layer, x):
        names = [
            self.weight(f"{layer.name}_{part}", getattr(layer, part))
            for part in ("gamma", "beta", "mean", "variance")
        ]
        return self.node("BatchNormalization", layer.name, [x] + names, epsilon=layer.EPSILON)

    def relu(self, layer, x):
        return self.node("Relu", layer.name, [x])

    def max_pool(self, layer, x):
        return self.node("MaxPool", layer.name, [x], kernel_shape=[2, 2], strides=[2, 2])

    def global_pool(self, layer, x):
        return self.node(
            "Flatten", layer.name + "_flat", [self.node("GlobalAveragePool", layer.name, [x])]
        )

    def add(self, name, a, b):
        return self.node("Add", name, [a, b])

    def dense(self, layer, x):
        weight = self.weight(layer.name + "_weight", layer.weight.T)
        return self.node(
            "Gemm", layer.name, [x, weight, self.weight(layer.name + "_bias", layer.bias)], transB=1
        )


class MxnetGraph:
    """The same for MXNet: nodes in order, weights as variables of their own (`arg:` and `aux:`)."""

    def __init__(self):
        self.nodes, self.arrays, self.mutable = [], {}, set()

    def variable(self, name, array=None, auxiliary=False):
        if array is not None:
            self.arrays[("aux:" if auxiliary else "arg:") + name] = np.ascontiguousarray(array)
        self.nodes.append({"op": "null", "name": name, "inputs": []})
        if auxiliary:
            self.mutable.add(len(self.nodes) - 1)
        return len(self.nodes) - 1

    def node(self, op, name, inputs, **attributes):
        entry = {"op": op, "name": name}
        if attributes:
            entry["attrs"] = {key: str(value) for key, value in attributes.items()}
        entry["inputs"] = [[index, 0, int(index in self.mutable)] for index in inputs]
        self.nodes.append(entry)
        return len(self.nodes) - 1

    def conv(self, layer, x):
        k, s, pad = layer.kernel, layer.stride, layer.kernel // 2
        weight = self.variable(layer.name + "_weight", layer.oihw())
        return self.node(
            "Convolution",
            layer.name,
            [x, weight],
            kernel=(k, k),
            stride=(s, s),
            pad=(pad, pad),
            num_filter=layer.weight.shape[1],
            no_bias=True,
        )

    def batch_norm(self, layer, x):
        names = [
            self.variable(f"{layer.name}_gamma", layer.gamma),
            self.variable(f"{layer.name}_beta", layer.beta),
            self.variable(f"{layer.name}_moving_mean", layer.mean, auxiliary=True),
            self.variable(f"{layer.name}_moving_var", layer.variance, auxiliary=True),
        ]
        return self.node("BatchNorm", layer.name, [x] + names, eps=layer.EPSILON, fix_gamma=False)

    def relu(self, layer, x):
        return self.node("Activation", layer.name, [x], act_type="relu")

    def max_pool(self, layer, x):
        return self.node("Pooling", layer.name, [x], kernel=(2, 2), stride=(2, 2), pool_type="max")

    def global_pool(self, layer, x):
        pooled = self.node(
            "Pooling", layer.name, [x], kernel=(1, 1), pool_type="avg", global_pool=True
        )
        return self.node("Flatten", layer.name + "_flat", [pooled])

    def add(self, name, a, b):
        return self.node("elemwise_add", name, [a, b])

    def dense(self, layer, x):
        weight = self.variable(layer.name + "_weight", layer.weight.T)
        bias = self.variable(layer.name + "_bias", layer.bias)
        return self.node(
            "FullyConnected", layer.name, [x, weight, bias], num_hidden=layer.bias.size
        )


METHODS = {
    Conv: "conv",
    BatchNorm: "batch_norm",
    Relu: "relu",
    MaxPool: "max_pool",
    GlobalAveragePool: "global_pool",
    Dense: "dense",
}


def trace(graph, layers, x):
    """Replays the layers onto `graph`; returns its last value."""
    for layer in layers:
        if isinstance(layer, Residual):
            total = graph.add(
                layer.name + "_add", trace(graph, layer.main, x), trace(graph, layer.skip, x)
            )
            x = graph.relu(layer.relu, total)
        else:
            x = getattr(graph, METHODS[type(layer)])(layer, x)
    return x


def onnx_bytes(layers, classes, side):
    graph = OnnxGraph()
    logits = trace(graph, layers, "data")
    graph.nodes[-1].output[0] = "logits"
    assert logits == graph.nodes[-1].name
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "sample",
            [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, side, side])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])],
            graph.weights,
        ),
        producer_name="trawl sample",
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=7,
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def mxnet_bytes(layers):
    """(symbol JSON, params container)"""
    graph = MxnetGraph()
    logits = trace(graph, layers, graph.variable("data"))
    label = graph.variable("softmax_label")
    head = graph.node("SoftmaxOutput", "softmax", [logits, label])
    outputs = [3 if node["op"] == "BatchNorm" else 1 for node in graph.nodes]
    symbol = {
        "nodes": graph.nodes,
        "arg_nodes": [i for i, node in enumerate(graph.nodes) if node["op"] == "null"],
        "node_row_ptr": [sum(outputs[:i]) for i in range(len(outputs) + 1)],
        "heads": [[head, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }
    return json.dumps(symbol, indent=2).encode() + b"\n", params_bytes(graph.arrays)


def params_bytes(arrays):
    """MXNet's NDArray list, little-endian: header, the arrays, their names."""
    out = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        out.append(struct.pack("<Ii", 0xF993FAC9, 0))  # NDArray version 2, dense storage
        out.append(struct.pack(f"<I{array.ndim}q", array.ndim, *array.shape))
        out.append(struct.pack("<iii", 1, 0, 0))  # on the CPU, device 0, float32
        out.append(array.astype("<f4").tobytes())
    out.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        out.append(struct.pack("<Q", len(name)) + name.encode())
    return b"".join(out)


PACKAGE = """\
# The sample model: tells ten drawn things apart. Written by train.py.
name: {name}
format: {format}
files: {files}
sha256: {digests}
input: {{name: data, layout: NCHW, size: [{side}, {side}], channels: rgb}}
preprocess:
  resize: {{shorter: {side}}}
  filter: bilinear
  crop: center
  mean: {mean}
  std: {std}
output: {{kind: {kind}}}
labels: labels.txt
"""


def flow(pairs):
    return "{" + ", ".join(pairs) + "}"


def write_package(folder, files, labels, **fields):
    """`files`: role (graph, params) → (file name, bytes)."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = []
    for name, content in files.values():
        (folder / name).write_bytes(content)
        digests.append(f"{name}: {hashlib.sha256(content).hexdigest()}")
    roles = [f"{role}: {name}" for role, (name, _) in files.items()]
    text = PACKAGE.format(files=flow(roles), digests=flow(digests), **fields)
    (folder / "model.yaml").write_text(text)
    (folder / "labels.txt").write_text("\n".join(labels) + "\n")


def export(layers, labels, folder, side, mean, std):
    common = {"labels": labels, "side": side, "mean": mean, "std": std}
    write_package(
        folder / "model-onnx",
        {"graph": ("sample.onnx", onnx_bytes(layers, len(labels), side))},
        name="sample-onnx",
        format="onnx",
        kind="logits",
        **common,
    )
    symbol, params = mxnet_bytes(layers)
    write_package(
        folder / "model-mxnet",
        {"graph": ("sample-symbol.json", symbol), "params": ("sample-0000.params", params)},
        name="sample-mxnet",
        format="mxnet",
        kind="probabilities",
        **common,
    )
