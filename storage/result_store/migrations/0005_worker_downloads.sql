-- Version 5: what the workers asked object stores for while they had work of a job, summed over workers.

CREATE TABLE worker_downloads (
  job_id    INTEGER PRIMARY KEY REFERENCES jobs (id),
  requests  INTEGER NOT NULL,
  retries   INTEGER NOT NULL,  -- of them, beyond an object's first
  throttled INTEGER NOT NULL,  -- answers that asked to slow down; no errors
  hedges    INTEGER NOT NULL,  -- second requests for late answers
  outages   INTEGER NOT NULL,  -- times that a store served nobody, and was waited for
  bytes     INTEGER NOT NULL   -- of bodies, those of no use among them
) STRICT;
