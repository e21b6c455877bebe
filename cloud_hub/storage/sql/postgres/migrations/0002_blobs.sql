-- Contents of checkpoints: chunks under their hash, each once in a space, packed whole or upon
-- another one (sync.chains). The records of checkpoints name them.
CREATE TABLE blobs (
    space    text COLLATE "C" NOT NULL,
    name     bytea NOT NULL CHECK (octet_length(name) = 32),
    size     bigint NOT NULL CHECK (size >= 1),
    codec    text COLLATE "C" NOT NULL,
    base     bytea CHECK (octet_length(base) = 32),
    depth    bigint NOT NULL CHECK (depth >= 0 AND (depth = 0) = (base IS NULL)),
    keyframe bigint NOT NULL CHECK (keyframe >= 1),
    packed   bytea NOT NULL,
    PRIMARY KEY (space, name)
);
-- It is packed already.
ALTER TABLE blobs ALTER COLUMN packed SET STORAGE EXTERNAL;

-- Which thread needs which blob. Whoever needs one needs what it stands upon as well, so what nobody
-- needs can go.
CREATE TABLE blob_uses (
    space  text COLLATE "C" NOT NULL,
    thread text COLLATE "C" NOT NULL,
    name   bytea NOT NULL CHECK (octet_length(name) = 32),
    PRIMARY KEY (space, thread, name)
);
CREATE INDEX blob_uses_by_name ON blob_uses (space, name);
