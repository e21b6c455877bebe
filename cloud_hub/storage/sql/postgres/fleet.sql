-- The edges.

-- name: edges_save
INSERT INTO edges (edge, origin, last_seen_ms, pending, outbox_bytes, skew_ms, alarms, software)
SELECT * FROM unnest(
    $1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::text[], $8::text[]
)
ON CONFLICT (edge) DO UPDATE SET
    origin = excluded.origin, last_seen_ms = excluded.last_seen_ms, pending = excluded.pending,
    outbox_bytes = excluded.outbox_bytes, skew_ms = excluded.skew_ms, alarms = excluded.alarms,
    software = excluded.software;

-- name: edges_list
SELECT edge, origin, last_seen_ms, pending, outbox_bytes, skew_ms, alarms, software
FROM edges WHERE edge > $1 ORDER BY edge LIMIT $2;

-- name: edge_spaces_save
INSERT INTO edge_spaces (edge, space, epoch, revision, lowest_base)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (edge, space) DO UPDATE SET
    epoch = excluded.epoch, revision = excluded.revision, lowest_base = excluded.lowest_base;

-- name: edge_spaces_of
SELECT found.*
FROM unnest($1::text[]) AS wanted (edge)
CROSS JOIN LATERAL (
    SELECT edge, space, epoch, revision, lowest_base
    FROM edge_spaces WHERE edge_spaces.edge = wanted.edge OFFSET 0
) AS found;
