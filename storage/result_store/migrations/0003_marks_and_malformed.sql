-- Version 3: which record was read last, and messages that are no work.

-- The newest record read of each partition, and a digest of it. A topic that was deleted and made anew has another record
-- at that offset, or none, and its other records must not be taken for the ones that follow.
ALTER TABLE offsets ADD COLUMN last_offset INTEGER;
ALTER TABLE offsets ADD COLUMN last_digest TEXT;

-- Failures of malformed messages are filed under 'malformed/<topic>', which nobody enqueued and which never ends.
DROP VIEW job_progress;
CREATE VIEW job_progress (job, state, enqueued, done, failed) AS
  WITH progress AS (
    SELECT *, done + failed = enqueued AND collected_digest = enqueued_digest
              AND requeue_ended >= requeued AS settled
    FROM jobs)
  SELECT job,
         CASE WHEN job GLOB 'malformed/*' AND source = '' THEN 'malformed'
              WHEN control = 'cancelled' THEN iif(settled, 'cancelled', 'cancelling')
              WHEN state = 'sealed' AND settled THEN 'complete'
              WHEN control = 'paused' THEN 'paused'
              WHEN state = 'listing' THEN 'listing'
              ELSE 'running' END,
         enqueued, done, failed
  FROM progress;
