"""Models without weights, for measuring what surrounds inference. Standard library only."""

import json
import struct


def write(folder, name, side, layers, preprocess):
    """A package for pictures of `side` x `side`: `layers` are (operator, attributes) of MXNet,
    each on what the one before gives, and `preprocess` is YAML."""
    folder.mkdir()
    nodes = [{"op": "null", "name": "data", "inputs": []}]
    for operator, attributes in layers:
        inputs = [[len(nodes) - 1, 0, 0]]
        nodes.append(
            {"op": operator, "name": operator.lower(), "attrs": attributes, "inputs": inputs}
        )
    graph = {"nodes": nodes, "arg_nodes": [0], "heads": [[len(nodes) - 1, 0, 0]]}
    (folder / f"{name}-symbol.json").write_text(json.dumps(graph))
    (folder / f"{name}-0000.params").write_bytes(struct.pack("<QQQQ", 0x112, 0, 0, 0))
    (folder / "model.yaml").write_text(
        f"name: {name}\nformat: mxnet\n"
        f"files: {{graph: {name}-symbol.json, params: {name}-0000.params}}\n"
        f"input: {{name: data, layout: NCHW, size: [{side}, {side}], channels: rgb}}\n"
        f"preprocess: {preprocess}\n"
        "output: {kind: logits}\n"
    )
