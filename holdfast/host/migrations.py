"""Which numbered .sql files a database still needs, and when to refuse it; no driver here.

Migrations are files `0001_name.sql`, `0002_name.sql`, ... in a folder of a package. A database
remembers in `schema_migrations` which it has had, with a checksum of each. Both SQLite
(`sqlite_migrations`) and any other database decide by `pending()`; they differ only in how they run
a file and read that table.

Invariant: what was applied is never edited. A database's versions are 1..n of the code's, with
equal checksums.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from holdfast.host.errors import HostError

TABLE = "schema_migrations"

MAX_MIGRATIONS = 9_999
"""What four digits can number; they keep the files in order in a listing."""

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")


class MigrationError(HostError):
    """The database and this program do not fit together."""

    reason = "SCHEMA_MISMATCH"


class DatabaseNewer(MigrationError):
    """The database was made by a newer version of this program."""


class MigrationChanged(MigrationError):
    """A migration differs from what was applied under its number."""


class MigrationsMalformed(MigrationError):
    """The folder itself is wrong: a mistake in the program, found before anything is touched."""

    default_remedy = "report this as a bug: the program's own files are damaged or wrongly packaged"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text in hex; line ends as Unix has them, which a version control system
        may have changed."""
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.version:04d}_{self.name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """One row of `schema_migrations`."""

    version: int
    name: str
    checksum: str


def load(package: str, folder: str = "") -> tuple[Migration, ...]:
    """The migrations of a package's folder (`sql/outbox`), in order. Raises
    `MigrationsMalformed`."""
    root: Traversable = resources.files(package)
    for part in filter(None, folder.split("/")):
        root = root.joinpath(part)
    files = sorted(
        (entry for entry in root.iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    return ordered([parse(entry.name, entry.read_text(encoding="utf-8")) for entry in files])


def parse(file_name: str, sql: str) -> Migration:
    """One file by its name and text. Raises `MigrationsMalformed`."""
    match = _FILE_NAME.fullmatch(file_name)
    if match is None:
        raise MigrationsMalformed(f"{file_name} is not named like 0001_what_it_does.sql")
    return Migration(int(match["version"]), match["name"], sql)


def ordered(migrations: Sequence[Migration]) -> tuple[Migration, ...]:
    """The same in order of version. Raises `MigrationsMalformed` unless they are 1, 2, 3, ..."""
    found = tuple(sorted(migrations, key=lambda migration: migration.version))
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            raise MigrationsMalformed(
                f"migration {migration.label} stands where {expected:04d} should"
            )
    if not found:
        raise MigrationsMalformed("there is no migration at all")
    return found


def pending(migrations: Sequence[Migration], applied: Sequence[Applied]) -> tuple[Migration, ...]:
    """What is still to be run, in order.

    Raises `DatabaseNewer` and `MigrationChanged`; then nothing has been touched.
    """
    by_version = {migration.version: migration for migration in migrations}
    for row in sorted(applied, key=lambda row: row.version):
        _check(row, by_version.get(row.version), newest=len(migrations))
    done = {row.version for row in applied}
    missing = tuple(migration for migration in migrations if migration.version not in done)
    if missing and done and missing[0].version < max(done):
        raise MigrationChanged(
            f"the database has had migration {max(done):04d} but not {missing[0].label}",
            "put back a backup of the database: its schema_migrations table was altered",
        )
    return missing


def _check(row: Applied, migration: Migration | None, newest: int) -> None:
    if migration is None:
        raise DatabaseNewer(
            f"the database is at schema version {row.version} ({row.name}), "
            f"and this program knows up to {newest}",
            "start the newer version of the program that wrote it, or put back a backup from "
            "before the upgrade",
        )
    if migration.checksum != row.checksum:
        raise MigrationChanged(
            f"migration {migration.label} is not the one that this database has had by that number",
            "install the release that made this database, or a later one; whoever changes the "
            "schema adds a migration",
        )
