"""What the database is: its id, and the secret under which it hands out tokens of revisions.

Both are random, made by whoever opens the database first, and never change: a restored backup keeps
them, so that cursors handed out before are still recognized as this hub's.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud_hub.storage.driver import Transaction
from sync.position import ID_BYTES

SECRET_BYTES = 32
"""The key of a MAC; as long as its 256 bits."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`database` has 16 bytes, `secret` 32 and stays in the hub."""

    database: bytes
    secret: bytes

    def __post_init__(self) -> None:
        assert (len(self.database), len(self.secret)) == (ID_BYTES, SECRET_BYTES)

    def __repr__(self) -> str:
        return f"Identity(database={self.database.hex()})"


async def identify(tx: Transaction, fresh: Identity) -> Identity:
    """The database's identity: `fresh`, if it had none."""
    columns = (["database", "secret"], [fresh.database, fresh.secret])
    await tx.write_rows("meta_keep", columns)
    kept: dict[str, bytes] = dict(await tx.fetch("meta_read"))
    return Identity(kept["database"], kept["secret"])
