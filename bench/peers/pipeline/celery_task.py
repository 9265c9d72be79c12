"""What Celery's workers run: some keys, with an engine that is loaded once in each process."""

import functools
import os

import celery

import engines
import job
import photos
from s3 import Bucket

REDIS = os.environ["CONTEST_REDIS"]
app = celery.Celery("contest", broker=REDIS, backend=REDIS)
bucket_of = functools.lru_cache(maxsize=None)(Bucket)
engine_of = functools.lru_cache(maxsize=None)(engines.engine)


@app.task
def classify(endpoint, bucket, model, batch, keys):
    """(time, answers) of each batch. Downloads run ahead on threads."""
    run = engine_of("onnxruntime", model, batch)
    fetched = bucket_of(endpoint, bucket).fetch(keys)
    squares = ((key, photos.square(data)) for key, data in fetched)
    return [(job.now_ms(), answers) for answers in photos.answers(squares, run, batch)]
