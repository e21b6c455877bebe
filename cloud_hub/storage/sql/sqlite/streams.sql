-- Which stream of an origin is the newest.

-- name: streams_take
INSERT INTO streams (origin, stream, hub, since_ms) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (origin) DO UPDATE SET
    stream = excluded.stream, hub = excluded.hub, since_ms = excluded.since_ms;

-- name: streams_of
WITH wanted (origin) AS (VALUES [(?)])
SELECT streams.origin, stream, hub
FROM wanted CROSS JOIN streams
    ON streams.origin = wanted.origin;
