-- Why did objects fail? Each reason with its count and one example.
SELECT code, count(*) AS objects, min(key) AS example, message
FROM failures
WHERE job = 'photos-v1'
GROUP BY code
ORDER BY objects DESC, code;
