-- What the database is.

-- name: meta_read
SELECT name, value FROM meta ORDER BY name;

-- name: meta_keep
INSERT INTO meta (name, value)
VALUES [(?, ?)]
ON CONFLICT (name) DO NOTHING;
