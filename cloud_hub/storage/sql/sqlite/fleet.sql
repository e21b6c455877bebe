-- The edges.

-- name: edges_save
INSERT INTO edges (edge, origin, last_seen_ms, pending, outbox_bytes, skew_ms, alarms, software)
VALUES [(?, ?, ?, ?, ?, ?, ?, ?)]
ON CONFLICT (edge) DO UPDATE SET
    origin = excluded.origin, last_seen_ms = excluded.last_seen_ms, pending = excluded.pending,
    outbox_bytes = excluded.outbox_bytes, skew_ms = excluded.skew_ms, alarms = excluded.alarms,
    software = excluded.software;

-- name: edges_list
SELECT edge, origin, last_seen_ms, pending, outbox_bytes, skew_ms, alarms, software
FROM edges WHERE edge > ?1 ORDER BY edge LIMIT ?2;

-- name: edge_spaces_save
INSERT INTO edge_spaces (edge, space, epoch, revision, lowest_base)
VALUES [(?, ?, ?, ?, ?)]
ON CONFLICT (edge, space) DO UPDATE SET
    epoch = excluded.epoch, revision = excluded.revision, lowest_base = excluded.lowest_base;

-- name: edge_spaces_of
WITH wanted (edge) AS (VALUES [(?)])
SELECT edge_spaces.edge, edge_spaces.space, edge_spaces.epoch, edge_spaces.revision,
    edge_spaces.lowest_base
FROM wanted CROSS JOIN edge_spaces
    ON edge_spaces.edge = wanted.edge;
