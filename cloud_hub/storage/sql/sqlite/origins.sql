-- Origins by their numbers, and what is decided of each.

-- name: origins_numbers
WITH wanted (id) AS (VALUES [(?)])
SELECT origins.id, origins.number
FROM wanted CROSS JOIN origins
    ON origins.id = wanted.id;

-- name: origins_names
WITH wanted (number) AS (VALUES [(?)])
SELECT origins.number, origins.id
FROM wanted CROSS JOIN origins
    ON origins.number = wanted.number;

-- name: origins_edges
WITH wanted (id) AS (VALUES [(?)])
SELECT origins.id, origins.edge
FROM wanted CROSS JOIN origins
    ON origins.id = wanted.id;

-- name: origins_identities
WITH wanted (id) AS (VALUES [(?)])
SELECT origins.id, origins.identity
FROM wanted CROSS JOIN origins
    ON origins.id = wanted.id;

-- name: origins_claim
INSERT INTO origins (id, edge, identity)
VALUES [(?, ?, ?)]
ON CONFLICT (id) DO UPDATE SET identity = excluded.identity
WHERE origins.identity = '';

-- name: origins_register
INSERT INTO origins (id, edge)
VALUES [(?, ?)]
ON CONFLICT (id) DO UPDATE SET edge = excluded.edge
WHERE excluded.edge <> '' AND origins.edge <> excluded.edge;

-- name: watermarks_load
WITH wanted (space, origin) AS (VALUES [(?1, ?)])
SELECT watermarks.origin, watermarks.seq, watermarks.commit_id, watermarks.revision,
    watermarks.stamp
FROM wanted CROSS JOIN watermarks
    ON watermarks.space = wanted.space AND watermarks.origin = wanted.origin;

-- name: watermarks_save
INSERT INTO watermarks (space, origin, seq, commit_id, revision, stamp)
VALUES [(?1, ?, ?, ?, ?, ?)]
ON CONFLICT (space, origin) DO UPDATE SET
    seq = excluded.seq, commit_id = excluded.commit_id, revision = excluded.revision,
    stamp = excluded.stamp;

-- name: watermarks_of_origin
SELECT space, origin, seq, commit_id, revision, stamp
FROM watermarks WHERE origin = ?1;
