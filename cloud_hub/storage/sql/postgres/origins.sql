-- Origins by their numbers, and what is decided of each.

-- name: origins_numbers
SELECT found.*
FROM unnest($1::bytea[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT id, number
    FROM origins WHERE origins.id = wanted.id LIMIT 1
) AS found;

-- name: origins_names
SELECT found.*
FROM unnest($1::bigint[]) AS wanted (number)
CROSS JOIN LATERAL (
    SELECT number, id
    FROM origins WHERE origins.number = wanted.number LIMIT 1
) AS found;

-- name: origins_edges
SELECT found.*
FROM unnest($1::bytea[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT id, edge
    FROM origins WHERE origins.id = wanted.id LIMIT 1
) AS found;

-- name: origins_identities
SELECT found.*
FROM unnest($1::bytea[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT id, identity
    FROM origins WHERE origins.id = wanted.id LIMIT 1
) AS found;

-- name: origins_claim
INSERT INTO origins (id, edge, identity)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[])
ON CONFLICT (id) DO UPDATE SET identity = excluded.identity
WHERE origins.identity = '';

-- name: origins_register
INSERT INTO origins (id, edge)
SELECT * FROM unnest($1::bytea[], $2::text[])
ON CONFLICT (id) DO UPDATE SET edge = excluded.edge
WHERE excluded.edge <> '' AND origins.edge <> excluded.edge;

-- name: watermarks_load
SELECT found.*
FROM unnest($2::bigint[]) AS wanted (origin)
CROSS JOIN LATERAL (
    SELECT origin, seq, commit_id, revision, stamp
    FROM watermarks WHERE space = $1 AND watermarks.origin = wanted.origin LIMIT 1
) AS found;

-- name: watermarks_save
INSERT INTO watermarks (space, origin, seq, commit_id, revision, stamp)
SELECT $1, rows.* FROM unnest(
    $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bigint[]
) AS rows
ON CONFLICT (space, origin) DO UPDATE SET
    seq = excluded.seq, commit_id = excluded.commit_id, revision = excluded.revision,
    stamp = excluded.stamp;

-- name: watermarks_of_origin
SELECT space, origin, seq, commit_id, revision, stamp
FROM watermarks WHERE origin = $1;
