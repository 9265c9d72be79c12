-- Version 4: where the workers' time went while they had work of a job, in seconds, summed over workers.

CREATE TABLE worker_times (
  job_id           INTEGER PRIMARY KEY REFERENCES jobs (id),
  wall_s           REAL NOT NULL,
  cpu_s            REAL NOT NULL,  -- of all threads that compute; the next four add up to it
  decode_s         REAL NOT NULL,
  infer_s          REAL NOT NULL,
  await_download_s REAL NOT NULL,  -- idle while objects were on the wire
  await_work_s     REAL NOT NULL,  -- idle while none were
  decode_waits_s   REAL NOT NULL,  -- of wall_s: nothing was there to decode
  infer_waits_s    REAL NOT NULL,  -- of wall_s: nothing was there to infer
  publish_s        REAL NOT NULL   -- of wall_s: a transaction was under way
) STRICT;
