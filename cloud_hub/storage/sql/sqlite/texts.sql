-- Edits of texts and lists, and the bridges from the hub's documents to those of origins.

-- name: text_spans_load
WITH wanted (space, collection, key, origin) AS (VALUES [(?1, ?, ?, ?)])
SELECT text_spans.collection, text_spans.key, text_spans.field, text_spans.origin,
    text_spans.revision, text_spans.seq, text_spans.stamp, text_spans.base, text_spans.strands
FROM wanted CROSS JOIN text_spans
    ON text_spans.space = wanted.space AND text_spans.collection = wanted.collection
    AND text_spans.key = wanted.key AND text_spans.origin = wanted.origin;

-- name: text_spans_save
INSERT INTO text_spans (
    space, collection, key, field, origin, revision, seq, stamp, base, strands
)
VALUES [(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?)]
ON CONFLICT (space, collection, key, origin, field) DO UPDATE SET
    revision = excluded.revision, seq = excluded.seq, stamp = excluded.stamp,
    base = excluded.base, strands = excluded.strands;

-- name: text_edits_load
WITH wanted (space, collection, key, revision) AS (VALUES [(?1, ?, ?, ?)])
SELECT text_edits.collection, text_edits.key, text_edits.revision, text_edits.idx,
    text_edits.field, text_edits.origin, text_edits.seq, text_edits.stamp, text_edits.effect
FROM wanted CROSS JOIN text_edits
    ON text_edits.space = wanted.space AND text_edits.collection = wanted.collection
    AND text_edits.key = wanted.key AND text_edits.revision > wanted.revision;

-- name: text_edits_save
INSERT INTO text_edits (
    space, collection, key, revision, idx, field, origin, seq, stamp, effect
)
VALUES [(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?)];
