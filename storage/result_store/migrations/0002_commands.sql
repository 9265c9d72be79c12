-- Version 2: what people asked of a job, and objects that were enqueued again.

ALTER TABLE jobs ADD COLUMN control TEXT NOT NULL DEFAULT 'run' CHECK (control IN ('run', 'paused', 'cancelled'));
ALTER TABLE jobs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;       -- of the job's record; only a newer one is taken
ALTER TABLE jobs ADD COLUMN requeued INTEGER NOT NULL DEFAULT 0;       -- objects enqueued again by later attempts
ALTER TABLE jobs ADD COLUMN requeue_ended INTEGER NOT NULL DEFAULT 0;  -- outcomes of those attempts

-- What commands ask of the process that holds the log of these jobs (trawl run): nobody else may write it.
CREATE TABLE requests (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: an answer must not meet another question
  job         TEXT NOT NULL,
  control     TEXT NOT NULL CHECK (control IN ('run', 'paused', 'cancelled')),
  answer_code INTEGER,                            -- NULL until it is answered; 0: done
  answer      TEXT
) STRICT;

-- settled: every enqueued object has its row, they are the very objects enqueued, and no later attempt is under way.
DROP VIEW job_progress;
CREATE VIEW job_progress (job, state, enqueued, done, failed) AS
  WITH progress AS (
    SELECT *, done + failed = enqueued AND collected_digest = enqueued_digest
              AND requeue_ended >= requeued AS settled
    FROM jobs)
  SELECT job,
         CASE WHEN control = 'cancelled' THEN iif(settled, 'cancelled', 'cancelling')
              WHEN state = 'sealed' AND settled THEN 'complete'
              WHEN control = 'paused' THEN 'paused'
              WHEN state = 'listing' THEN 'listing'
              ELSE 'running' END,
         enqueued, done, failed
  FROM progress;
