-- Values with long texts, beside the rows of their records.

-- name: documents_load
WITH wanted (space, collection, key) AS (VALUES [(?1, ?, ?)])
SELECT documents.collection, documents.key, documents.revision, documents.value
FROM wanted CROSS JOIN documents
    ON documents.space = wanted.space AND documents.collection = wanted.collection
    AND documents.key = wanted.key;

-- name: documents_save
INSERT INTO documents (space, collection, key, revision, value)
VALUES [(?1, ?, ?, ?, ?)]
ON CONFLICT (space, collection, key) DO UPDATE SET
    revision = excluded.revision, value = excluded.value;
