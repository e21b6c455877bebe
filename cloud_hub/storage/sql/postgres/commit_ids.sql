-- Commit ids that their clients chose.

-- name: commit_ids_lookup
SELECT found.*
FROM unnest($2::bytea[]) AS wanted (commit_id)
CROSS JOIN LATERAL (
    SELECT commit_id, revision
    FROM commit_ids WHERE space = $1 AND commit_ids.commit_id = wanted.commit_id LIMIT 1
) AS found;

-- name: commit_ids_insert
INSERT INTO commit_ids (space, decided_ms, commit_id, revision)
SELECT $1, $2, rows.* FROM unnest($3::bytea[], $4::bigint[]) AS rows
ON CONFLICT (space, commit_id) DO NOTHING;

-- name: commit_ids_expire
DELETE FROM commit_ids WHERE (space, commit_id) IN (
    SELECT space, commit_id FROM commit_ids WHERE decided_ms < $1 ORDER BY decided_ms LIMIT $2
)
RETURNING revision;
