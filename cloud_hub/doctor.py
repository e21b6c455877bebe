"""What `cloud-hub doctor` looks at beyond its own machine: the database server."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_hub.settings import Settings
from holdfast.shell.checks import Check

HUB_FILES = (("hub.db", "stop the hub, keep the three files of hub.db, and check the disk"),)


def database(settings: Settings) -> Iterator[Check]:
    """Whether a PostgreSQL server can be reached, and would keep what it acknowledges."""
    if not settings.database:
        return
    # Loaded only here: the drivers take longer than most commands.
    import asyncio

    from cloud_hub.storage import postgres_look
    from cloud_hub.storage.driver import StorageError

    for name, url in (("database", settings.database), ("listener", settings.listen_database)):
        if url:
            try:
                yield Check(name, asyncio.run(postgres_look.look(url)))
            except StorageError as error:
                yield Check(name, error.message, error.remedy)
