"""A look at a PostgreSQL server, for people: can it be reached, and is it safe?

Invariant: nothing is written, and no schema is made.
"""

from __future__ import annotations

import asyncpg

from cloud_hub.storage.postgres import ASK_SAFETY, CONNECT_TIMEOUT_S, refuse_unsafe
from cloud_hub.storage.postgres_errors import mapped

_ASK = "SELECT current_setting('server_version'), count(*) FROM pg_stat_activity"


async def look(dsn: str) -> str:
    """Its version and how busy it is, in words. Raises StorageError."""
    with mapped():
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S, statement_cache_size=0)
        try:
            refuse_unsafe(await connection.fetchrow(ASK_SAFETY))
            version, connections = await connection.fetchrow(_ASK)
        finally:
            await connection.close()
    return f"PostgreSQL {version}, safe settings, {connections} connections"
