-- Which pictures should a person look at? The least certain answers of a job first.
SELECT key, label, round(probability, 4) AS probability
FROM top1
WHERE job = 'photos-v1' AND probability < 0.5
ORDER BY probability
LIMIT 100;
