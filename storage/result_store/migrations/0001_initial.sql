-- The results of Trawl, version 1. One row of `objects` is the outcome of one object of one job.
-- Times are Unix milliseconds; durations are milliseconds.

CREATE TABLE models (
  id     INTEGER PRIMARY KEY,
  name   TEXT NOT NULL,
  digest TEXT NOT NULL,           -- sha-256 over graph, weights and labels
  UNIQUE (digest, name)
) STRICT;

-- Counters and digest are kept up in the transactions that add the rows, so that progress costs one row to read.
CREATE TABLE jobs (
  id                INTEGER PRIMARY KEY,
  job               TEXT NOT NULL UNIQUE,
  state             TEXT NOT NULL DEFAULT 'listing' CHECK (state IN ('listing', 'sealed')),
  source            TEXT NOT NULL DEFAULT '',
  input             TEXT NOT NULL DEFAULT '',
  model_id          INTEGER REFERENCES models (id),
  model_uri         TEXT NOT NULL DEFAULT '',
  preprocess_digest TEXT NOT NULL DEFAULT '',
  top_k             INTEGER NOT NULL DEFAULT 0,
  created_at_ms     INTEGER NOT NULL DEFAULT 0,
  batches           INTEGER NOT NULL DEFAULT 0,
  enqueued          INTEGER NOT NULL DEFAULT 0,  -- final once the state is sealed
  enqueued_digest   TEXT NOT NULL DEFAULT '',    -- over the objects that the producer enqueued
  done              INTEGER NOT NULL DEFAULT 0,
  failed            INTEGER NOT NULL DEFAULT 0,
  collected_digest  TEXT NOT NULL DEFAULT '00000000000000000000000000000000',  -- over the rows below
  duplicates        INTEGER NOT NULL DEFAULT 0,  -- records that came twice; the log promises none
  first_result_ms   INTEGER,
  last_result_ms    INTEGER,
  download_ms       REAL NOT NULL DEFAULT 0,     -- sums over the job's objects
  decode_ms         REAL NOT NULL DEFAULT 0,
  infer_ms          REAL NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE objects (
  id             INTEGER PRIMARY KEY,
  job_id         INTEGER NOT NULL REFERENCES jobs (id),
  batch          INTEGER NOT NULL,
  position       INTEGER NOT NULL,     -- in the batch
  attempt        INTEGER NOT NULL,
  key            ANY NOT NULL,         -- TEXT; a BLOB where the key's bytes are not text
  status         TEXT NOT NULL CHECK (status IN ('ok', 'failed')),
  error_code     TEXT,
  error_message  TEXT,
  error_attempts INTEGER,
  model_id       INTEGER NOT NULL REFERENCES models (id),
  worker         TEXT NOT NULL,
  bytes          INTEGER NOT NULL,
  download_ms    REAL NOT NULL,
  decode_ms      REAL NOT NULL,
  infer_ms       REAL NOT NULL,
  finished_at_ms INTEGER NOT NULL,
  UNIQUE (job_id, batch, position),
  CHECK ((status = 'failed') = (error_code IS NOT NULL))
) STRICT;

CREATE INDEX objects_by_key ON objects (job_id, key);
CREATE INDEX failures_by_key ON objects (job_id, key) WHERE status = 'failed';

CREATE TABLE predictions (
  object_id   INTEGER NOT NULL REFERENCES objects (id),
  rank        INTEGER NOT NULL,        -- 1 is the most probable
  class       INTEGER NOT NULL,
  label       TEXT,                    -- NULL when the model has no labels
  probability REAL NOT NULL,
  PRIMARY KEY (object_id, rank)
) STRICT, WITHOUT ROWID;

-- Where to read on, moved in the transaction that writes the rows read up to there.
CREATE TABLE offsets (
  topic       TEXT NOT NULL,
  partition   INTEGER NOT NULL,
  log         TEXT NOT NULL,           -- identity of the log that the offset belongs to
  next_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Outcomes by the second in which they finished.
CREATE TABLE throughput (
  job_id  INTEGER NOT NULL REFERENCES jobs (id),
  second  INTEGER NOT NULL,            -- Unix time
  results INTEGER NOT NULL,
  PRIMARY KEY (job_id, second)
) STRICT, WITHOUT ROWID;

CREATE VIEW top1 (job, key, class, label, probability) AS
  SELECT j.job, o.key, p.class, p.label, p.probability
  FROM jobs j
  JOIN objects o ON o.job_id = j.id
  JOIN predictions p ON p.object_id = o.id AND p.rank = 1;

CREATE VIEW top5 (job, key, rank, class, label, probability) AS
  SELECT j.job, o.key, p.rank, p.class, p.label, p.probability
  FROM jobs j
  JOIN objects o ON o.job_id = j.id
  JOIN predictions p ON p.object_id = o.id AND p.rank <= 5;

CREATE VIEW failures (job, key, code, message, attempts) AS
  SELECT j.job, o.key, o.error_code, o.error_message, o.error_attempts
  FROM jobs j
  JOIN objects o ON o.job_id = j.id AND o.status = 'failed';

-- complete: everything is enqueued, every enqueued object has its row, and they are the very objects enqueued.
CREATE VIEW job_progress (job, state, enqueued, done, failed) AS
  SELECT job,
         CASE WHEN state = 'listing' THEN 'listing'
              WHEN done + failed = enqueued AND collected_digest = enqueued_digest THEN 'complete'
              ELSE 'running' END,
         enqueued, done, failed
  FROM jobs;

-- By the most probable class; its number stands in where the model has no labels.
CREATE VIEW class_histogram (job, label, count) AS
  SELECT j.job, coalesce(p.label, CAST(p.class AS TEXT)), count(*)
  FROM jobs j
  JOIN objects o ON o.job_id = j.id
  JOIN predictions p ON p.object_id = o.id AND p.rank = 1
  GROUP BY j.job, coalesce(p.label, CAST(p.class AS TEXT));
