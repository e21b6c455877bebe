-- The newest revision of each space, and why nothing is decided in it, if so.

-- name: heads_lock
SELECT space, epoch, revision, token, stamp_max,
    CASE WHEN stopped <> '' THEN stopped WHEN timeline <> 0 THEN 'timeline' ELSE '' END
FROM heads WHERE space = ?1;

-- name: heads_create
INSERT INTO heads (space, epoch, revision, token, stamp_max, timeline)
SELECT * FROM (
    SELECT ?1, ordinal, 0, x'', 0, timeline FROM epochs WHERE true ORDER BY ordinal DESC LIMIT 1
) WHERE true
ON CONFLICT (space) DO NOTHING;

-- name: heads_advance
UPDATE heads SET epoch = ?2, revision = ?3, token = ?4, stamp_max = ?5 WHERE space = ?1;

-- name: heads_list
SELECT space, epoch, revision, token, stamp_max,
    CASE WHEN stopped <> '' THEN stopped WHEN timeline <> 0 THEN 'timeline' ELSE '' END
FROM heads WHERE space > ?1 ORDER BY space LIMIT ?2;

-- name: heads_of
WITH wanted (space) AS (VALUES [(?)])
SELECT heads.space, epoch, revision, token, stamp_max,
    CASE WHEN stopped <> '' THEN stopped WHEN timeline <> 0 THEN 'timeline' ELSE '' END
FROM wanted CROSS JOIN heads
    ON heads.space = wanted.space;

-- name: heads_stop
UPDATE heads SET stopped = ?2 WHERE space = ?1;

-- name: heads_enter_epoch
UPDATE heads SET epoch = ?1, timeline = 0, stopped = '';
