"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import postgres

# A law is not a benchmark: on a busy machine one example may take any time, and the test's own
# limit still holds. A failure prints what repeats it.
settings.register_profile("project", deadline=None, print_blob=True)
settings.load_profile("project")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """One PostgreSQL server per test process; where none can be had, the test is skipped."""
    try:
        context = postgres.serve()
        server = context.__enter__()
    except postgres.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield server
    finally:
        context.__exit__(None, None, None)


@pytest.fixture
def postgres_dsn(postgres_server: postgres.Server) -> Iterator[str]:
    """The DSN of an empty database of this test alone."""
    with postgres_server.database() as dsn:
        yield dsn


@pytest.fixture
def hub_postgres_dsn(postgres_server: postgres.Server) -> Iterator[str]:
    """The DSN of a database of this test alone with the hub's newest schema, and nothing in it."""
    with postgres_server.database(postgres_server.template("hub", _migrated)) as dsn:
        yield dsn


async def _migrated(dsn: str) -> None:
    from cloud_hub.storage.postgres_migrations import migrate

    async def anything_goes(_connection: object) -> None: ...

    await migrate(dsn, wall_ms=0, check=anything_goes)
