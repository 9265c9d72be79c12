"""What every contestant is told, and the database that it leaves.

When the last row is committed the contestant writes one line, which stops the clock.
"""

import argparse
import pathlib
import sqlite3
import time

from s3 import Bucket

SCHEMA = """
CREATE TABLE results (key TEXT PRIMARY KEY, finished_at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE predictions (
  key TEXT, rank INTEGER, class INTEGER, label TEXT, probability REAL, PRIMARY KEY (key, rank)
) WITHOUT ROWID;
"""
COMMIT_SECONDS = 0.5


def arguments(add=lambda parser: None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--labels", type=pathlib.Path, required=True)
    parser.add_argument("--db", required=True)
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8)
    add(parser)
    options = parser.parse_args()
    options.bucket = Bucket(options.endpoint, options.bucket)
    return options


def now_ms():
    return int(time.time() * 1000)


class Results:
    def __init__(self, options):
        self.labels = options.labels.read_text(encoding="utf-8").splitlines()
        self.db = sqlite3.connect(options.db)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript(SCHEMA)
        self.committed = time.monotonic()

    def add(self, finished_at_ms, answers):
        """`answers`: (key, [(class, probability), …]) of the photos that were classified then."""
        self.db.executemany(
            "INSERT INTO results VALUES (?, ?)", [(key, finished_at_ms) for key, _ in answers]
        )
        self.db.executemany(
            "INSERT INTO predictions VALUES (?, ?, ?, ?, ?)",
            [
                (key, rank, index, self.labels[index], probability)
                for key, best in answers
                for rank, (index, probability) in enumerate(best, 1)
            ],
        )
        if time.monotonic() - self.committed > COMMIT_SECONDS:
            self.db.commit()
            self.committed = time.monotonic()

    def finish(self, versions):
        """`versions`: of what ran, for the table."""
        self.db.commit()
        self.db.close()
        print(versions, flush=True)
