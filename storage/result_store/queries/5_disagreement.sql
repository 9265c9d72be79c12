-- Where do two models disagree about the same bucket? The most confident new answers first.
SELECT old.key, old.label AS old_label, new.label AS new_label,
       round(old.probability, 4) AS old_probability, round(new.probability, 4) AS new_probability
FROM top1 AS old
JOIN top1 AS new ON new.key = old.key
WHERE old.job = 'photos-v1' AND new.job = 'photos-v2' AND new.class <> old.class
ORDER BY new.probability DESC, old.key;
