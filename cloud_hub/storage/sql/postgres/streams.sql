-- Which stream of an origin is the newest.

-- name: streams_take
INSERT INTO streams (origin, stream, hub, since_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (origin) DO UPDATE SET
    stream = excluded.stream, hub = excluded.hub, since_ms = excluded.since_ms;

-- name: streams_of
SELECT found.*
FROM unnest($1::bytea[]) AS wanted (origin)
CROSS JOIN LATERAL (
    SELECT origin, stream, hub FROM streams WHERE streams.origin = wanted.origin LIMIT 1
) AS found;
