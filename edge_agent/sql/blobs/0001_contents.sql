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

-- Which thread needs which blob, and with it what that stands upon; so what nobody needs can go.
-- `number` grows: in this order they are sent. `sent` is 1 once the hub has said that it has it, for
-- this thread.
CREATE TABLE blob_uses (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    space  TEXT NOT NULL,
    thread TEXT NOT NULL,
    name   BLOB NOT NULL CHECK (length(name) = 32),
    sent   INTEGER NOT NULL CHECK (sent IN (0, 1)),
    UNIQUE (space, thread, name)
) STRICT;
CREATE INDEX blob_uses_by_name ON blob_uses (space, name);
CREATE INDEX blob_uses_unsent ON blob_uses (number) WHERE sent = 0;
