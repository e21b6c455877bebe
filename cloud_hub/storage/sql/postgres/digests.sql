-- Digests of the live records, per collection.

-- name: digests_load
SELECT found.*
FROM unnest($2::text[]) AS wanted (collection)
CROSS JOIN LATERAL (
    SELECT collection, digest, records
    FROM digests WHERE space = $1 AND digests.collection = wanted.collection LIMIT 1
) AS found;

-- name: digests_save
INSERT INTO digests (space, collection, digest, records)
SELECT $1, rows.* FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS rows
ON CONFLICT (space, collection) DO UPDATE SET
    digest = excluded.digest, records = excluded.records;

-- name: digests_of_space
SELECT collection, digest, records FROM digests
WHERE space = $1 ORDER BY collection;
