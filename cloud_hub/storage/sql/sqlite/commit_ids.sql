-- Commit ids that their clients chose.

-- name: commit_ids_lookup
WITH wanted (space, commit_id) AS (VALUES [(?1, ?)])
SELECT commit_ids.commit_id, commit_ids.revision
FROM wanted CROSS JOIN commit_ids
    ON commit_ids.space = wanted.space AND commit_ids.commit_id = wanted.commit_id;

-- name: commit_ids_insert
INSERT INTO commit_ids (space, decided_ms, commit_id, revision)
VALUES [(?1, ?2, ?, ?)]
ON CONFLICT (space, commit_id) DO NOTHING;

-- name: commit_ids_expire
DELETE FROM commit_ids WHERE (space, commit_id) IN (
    SELECT space, commit_id FROM commit_ids WHERE decided_ms < ?1 ORDER BY decided_ms LIMIT ?2
)
RETURNING revision;
