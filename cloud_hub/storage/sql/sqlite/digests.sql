-- Digests of the live records, per collection.

-- name: digests_load
WITH wanted (space, collection) AS (VALUES [(?1, ?)])
SELECT digests.collection, digests.digest, digests.records
FROM wanted CROSS JOIN digests
    ON digests.space = wanted.space AND digests.collection = wanted.collection;

-- name: digests_save
INSERT INTO digests (space, collection, digest, records)
VALUES [(?1, ?, ?, ?)]
ON CONFLICT (space, collection) DO UPDATE SET
    digest = excluded.digest, records = excluded.records;

-- name: digests_of_space
SELECT collection, digest, records FROM digests
WHERE space = ?1 ORDER BY collection;
