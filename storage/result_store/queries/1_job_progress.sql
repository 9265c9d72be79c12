-- How far is each job, and how much of it failed?
SELECT job, state, enqueued, done, failed,
       round(100.0 * (done + failed) / max(enqueued, 1), 1) AS percent
FROM job_progress
ORDER BY job;
