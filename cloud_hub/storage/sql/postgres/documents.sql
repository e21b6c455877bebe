-- Values with long texts, beside the rows of their records.

-- name: documents_load
SELECT found.*
FROM unnest($2::text[], $3::text[]) AS wanted (collection, key)
CROSS JOIN LATERAL (
    SELECT collection, key, revision, value
    FROM documents
    WHERE space = $1 AND documents.collection = wanted.collection AND documents.key = wanted.key
    LIMIT 1
) AS found;

-- name: documents_save
INSERT INTO documents (space, collection, key, revision, value)
SELECT $1, rows.* FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bytea[]) AS rows
ON CONFLICT (space, collection, key) DO UPDATE SET
    revision = excluded.revision, value = excluded.value;
