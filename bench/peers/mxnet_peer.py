"""MXNet: the Module interface with oneDNN's subgraphs, one executor on all threads.

The model is a `-symbol.json` with its `-0000.params` beside it.
"""

import os

import peer

ARGUMENTS = peer.arguments()
# Read when the library is loaded.
os.environ.setdefault("MXNET_SUBGRAPH_BACKEND", "MKLDNN")
os.environ["OMP_NUM_THREADS"] = str(ARGUMENTS.threads)

import mxnet  # noqa: E402


def lane():
    prefix = ARGUMENTS.model[: -len("-symbol.json")]
    symbol, weights, auxiliary = mxnet.model.load_checkpoint(prefix, 0)
    shape = (ARGUMENTS.batch, 3, ARGUMENTS.size, ARGUMENTS.size)
    module = mxnet.mod.Module(symbol, context=mxnet.cpu(), label_names=None)
    module.bind(data_shapes=[("data", shape)], for_training=False)
    module.set_params(weights, auxiliary, allow_missing=True)
    batch = mxnet.io.DataBatch([mxnet.nd.array(peer.pictures(shape, 0))])

    def run():
        module.forward(batch, is_train=False)
        module.get_outputs()[0].wait_to_read()

    return run


def main():
    facts = {"version": mxnet.__version__, "precision": "fp32"}
    peer.serve(facts, [lane()], ARGUMENTS.batch)


if __name__ == "__main__":
    main()
