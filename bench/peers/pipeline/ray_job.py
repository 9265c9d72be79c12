"""Ray Data: an actor for each core, which downloads ahead on threads, decodes and classifies."""

import numpy
import onnxruntime
import ray

import engines
import job
import photos

CHUNK = 32
COLUMNS = ("key", "finished_at_ms", "classes", "probabilities")


class Classifier:
    def __init__(self, bucket, model, batch):
        self.bucket, self.batch = bucket, batch
        self.run = engines.engine("onnxruntime", model, batch)

    def __call__(self, table):
        fetched = self.bucket.fetch(list(table["key"]))
        squares = ((key, photos.square(data)) for key, data in fetched)
        columns = {name: [] for name in COLUMNS}
        for answers in photos.answers(squares, self.run, self.batch):
            for key, best in answers:
                columns["key"].append(key)
                columns["finished_at_ms"].append(job.now_ms())
                columns["classes"].append([index for index, _ in best])
                columns["probabilities"].append([probability for _, probability in best])
        return {name: numpy.array(values) for name, values in columns.items()}


def main():
    options = job.arguments()
    ray.init(num_cpus=options.cores, include_dashboard=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    keys = [{"key": key} for page in options.bucket.pages() for key in page]
    dataset = ray.data.from_items(keys, override_num_blocks=-(-len(keys) // CHUNK)).map_batches(
        Classifier,
        fn_constructor_args=(options.bucket, options.model, options.batch),
        batch_size=CHUNK,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=options.cores),
    )
    results = job.Results(options)
    for rows in dataset.iter_batches(batch_size=None, batch_format="numpy"):
        for key, time_ms, classes, probabilities in zip(*(rows[name] for name in COLUMNS)):
            best = [(int(c), float(p)) for c, p in zip(classes, probabilities)]
            results.add(int(time_ms), [(str(key), best)])
    results.finish(f"ray {ray.__version__}, onnxruntime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
