-- What the database is.

-- name: meta_read
SELECT name, value FROM meta ORDER BY name;

-- name: meta_keep
INSERT INTO meta (name, value)
SELECT * FROM unnest($1::text[], $2::bytea[])
ON CONFLICT (name) DO NOTHING;
