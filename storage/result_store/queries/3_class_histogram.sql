-- What is in the bucket? Pictures per class, the most frequent first.
SELECT label, count
FROM class_histogram
WHERE job = 'photos-v1'
ORDER BY count DESC, label
LIMIT 20;
