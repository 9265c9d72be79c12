"""What an executor of the reference design runs: a network, loaded once and kept, on a partition.

A module of its own: what Spark ships by value would load the network for each task.
"""

import functools
import multiprocessing
import os

import job
import photos

# Read when the library is loaded.
os.environ.setdefault("MXNET_SUBGRAPH_BACKEND", "MKLDNN")
import mxnet  # noqa: E402


@functools.lru_cache(maxsize=None)
def network(symbol_file, batch):
    """[batch, 3, …] of raw pixels → probabilities."""
    prefix = symbol_file[: -len("-symbol.json")]
    symbol, weights, auxiliary = mxnet.model.load_checkpoint(prefix, 0)
    module = mxnet.mod.Module(symbol, context=mxnet.cpu(), label_names=None)
    shape = (batch, 3, photos.SIZE, photos.SIZE)
    module.bind(data_shapes=[("data", shape)], for_training=False)
    module.set_params(weights, auxiliary, allow_missing=True)

    def run(tensor):
        module.forward(mxnet.io.DataBatch([mxnet.nd.array(tensor)]), is_train=False)
        return module.get_outputs()[0].asnumpy()

    return run


def read(bucket, key):
    return key, photos.square(bucket.get(key))


def squares(bucket, keys, batch, pool):
    """Photos ready for the network, in processes made for each batch, or on threads."""
    for start in range(0, len(keys), batch):
        some = keys[start : start + batch]
        if pool:
            with multiprocessing.Pool(pool) as processes:
                yield from processes.map(functools.partial(read, bucket), some)
        else:
            for key, data in bucket.fetch(some):
                yield key, photos.square(data)


def classify(bucket, symbol_file, batch, pool, keys):
    """For Spark's mapPartitions: (time, answers) of each batch."""
    run = network(symbol_file, batch)
    ready = squares(bucket, list(keys), batch, pool)
    for answers in photos.answers(ready, run, batch, normalise=False, logits=False):
        yield job.now_ms(), answers
