-- Contents of checkpoints: chunks under their hash, each once in a space, packed whole or upon
-- another one (sync.chains). The records of checkpoints name them.
CREATE TABLE blobs (
    space    TEXT NOT NULL,
    name     BLOB NOT NULL CHECK (length(name) = 32),
    size     INTEGER NOT NULL CHECK (size >= 1),
    codec    TEXT NOT NULL,
    base     BLOB CHECK (length(base) = 32),
    depth    INTEGER NOT NULL CHECK (depth >= 0 AND (depth = 0) = (base IS NULL)),
    keyframe INTEGER NOT NULL CHECK (keyframe >= 1),
    packed   BLOB NOT NULL,
    PRIMARY KEY (space, name)
) STRICT;

-- Which thread needs which blob. Whoever needs one needs what it stands upon as well, so what nobody
-- needs can go.
CREATE TABLE blob_uses (
    space  TEXT NOT NULL,
    thread TEXT NOT NULL CHECK (instr(thread, char(0)) = 0),
    name   BLOB NOT NULL CHECK (length(name) = 32),
    PRIMARY KEY (space, thread, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_uses_by_name ON blob_uses (space, name);
