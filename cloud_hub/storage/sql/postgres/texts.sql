-- Edits of texts and lists, and the bridges from the hub's documents to those of origins.

-- name: text_spans_load
SELECT found.*
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS wanted (collection, key, origin)
CROSS JOIN LATERAL (
    SELECT collection, key, field, origin, revision, seq, stamp, base, strands
    FROM text_spans
    WHERE space = $1 AND text_spans.collection = wanted.collection
        AND text_spans.key = wanted.key AND text_spans.origin = wanted.origin
    OFFSET 0
) AS found;

-- name: text_spans_save
INSERT INTO text_spans (
    space, collection, key, field, origin, revision, seq, stamp, base, strands
)
SELECT $1, rows.* FROM unnest(
    $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bytea[]
) AS rows
ON CONFLICT (space, collection, key, origin, field) DO UPDATE SET
    revision = excluded.revision, seq = excluded.seq, stamp = excluded.stamp,
    base = excluded.base, strands = excluded.strands;

-- name: text_edits_load
SELECT found.*
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS wanted (collection, key, revision)
CROSS JOIN LATERAL (
    SELECT collection, key, revision, idx, field, origin, seq, stamp, effect
    FROM text_edits
    WHERE space = $1 AND text_edits.collection = wanted.collection
        AND text_edits.key = wanted.key AND text_edits.revision > wanted.revision
    OFFSET 0
) AS found;

-- name: text_edits_save
INSERT INTO text_edits (
    space, collection, key, revision, idx, field, origin, seq, stamp, effect
)
SELECT $1, rows.* FROM unnest(
    $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bytea[]
) AS rows;
