"""The reference design: PySpark in local mode, the keys in partitions, on each executor one MXNet
network that is loaded once, results collected on the driver.

With `--pool` each batch is downloaded and decoded in a pool of processes made for it, as there.
"""

import importlib.metadata
import os
import sys

import pyspark

import job

PHOTOS_PER_PARTITION = 128
BATCH = 32


def add_arguments(parser):
    parser.add_argument("--pool", type=int, default=0, help="processes for each batch")
    parser.add_argument("--symbol", required=True, help="the network in MXNet's form")


def task(bucket, symbol, pool):
    """What Spark ships. The driver itself never loads MXNet."""

    def classify(keys):
        import mxnet_task

        return mxnet_task.classify(bucket, symbol, BATCH, pool, keys)

    return classify


def main():
    options = job.arguments(add_arguments)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    configuration = pyspark.SparkConf().setMaster(f"local[{options.cores}]").setAppName("contest")
    configuration.set("spark.ui.enabled", "false")
    configuration.set("spark.driver.host", "127.0.0.1")
    context = pyspark.SparkContext(conf=configuration)
    keys = [key for page in options.bucket.pages() for key in page]
    partitions = max(options.cores, -(-len(keys) // PHOTOS_PER_PARTITION))
    classify = task(options.bucket, options.symbol, options.pool)
    found = context.parallelize(keys, partitions).mapPartitions(classify).collect()
    results = job.Results(options)
    for finished_at_ms, answers in found:
        results.add(finished_at_ms, answers)
    results.finish(f"pyspark {pyspark.__version__}, mxnet {importlib.metadata.version('mxnet')}")
    context.stop()


if __name__ == "__main__":
    main()
