"""The statements of both dialects, and how their files are read."""

from __future__ import annotations

import re
import sqlite3
from functools import partial
from pathlib import Path

import pytest

import cloud_hub
from cloud_hub import records
from cloud_hub.storage import queries
from cloud_hub.storage.postgres import PostgresDriver
from cloud_hub.storage.sqlite import SqliteDriver
from tests.contract.hub_rows import record

USED = re.compile(r"""(?:fetch|fetch_by|execute|write_rows)\(\s*"(\w+)"|= "(conflicts_\w+)" if""")
HUB = Path(cloud_hub.__file__).parent


def test_both_dialects_have_the_same_statements() -> None:
    assert queries.statements("sqlite").keys() == queries.statements("postgres").keys()


def test_every_statement_is_used_and_every_used_one_is_there() -> None:
    source = "".join(path.read_text() for path in HUB.glob("**/*.py"))
    used = {name for name in queries.statements("sqlite") if f'"{name}"' in source}
    assert set(queries.statements("sqlite")) - used == set()
    asked = {first or second for first, second in USED.findall(source)}
    assert asked <= set(queries.statements("sqlite"))


def test_a_lone_statement_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"sqlite": {"a": "", "b": ""}, "postgres": {"a": ""}}
    monkeypatch.setattr(queries, "_load", both.__getitem__)
    queries.statements.cache_clear()
    try:
        with pytest.raises(queries.QueriesMalformed, match="b"):
            queries.statements("postgres")
    finally:
        queries.statements.cache_clear()


def test_a_file_of_statements() -> None:
    text = "-- Title.\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT\n  2;\n"
    assert queries.parse(text) == [("one", "SELECT 1"), ("two", "-- why\nSELECT\n  2")]


SMALL = {"meta", "epochs", "epoch_forks", "wanted", "heads", "fork_signs", "(subquery-1)", "chain"}
"""What may be read as a whole: a handful of rows (those of a chain of blobs are at most 33), or, to
declare an epoch, all on purpose."""


async def test_sqlite_finds_everything_by_an_index(tmp_path: Path) -> None:
    driver = await SqliteDriver.open(tmp_path / "hub.db", 0)
    found = []
    for name, text in queries.statements("sqlite").items():
        plan = "EXPLAIN QUERY PLAN " + re.sub(r"\[(.*?)\]", r"\1, \1", text)
        steps = await driver._writer.run(partial(_steps, plan))
        scanned = [s.split()[1] for s in steps if s.startswith("SCAN") and "CONSTANT" not in s]
        found += [f"{name}: {step}" for step in steps if "TEMP B-TREE" in step]
        found += [f"{name}: scans {table}" for table in scanned if table not in SMALL]
    await driver.close()
    assert found == []


@pytest.mark.needs_postgres
@pytest.mark.parametrize("known", [False, True])
async def test_postgres_finds_a_set_of_keys_by_the_index(postgres_dsn: str, known: bool) -> None:
    """Also where statistics know nothing of the rows yet."""
    driver = await PostgresDriver.open(postgres_dsn, 0)
    many = {("robots", f"r{i:04d}"): record(i + 1) for i in range(3_000)}
    await driver.write(lambda tx: records.save(tx, "site", many))
    keys = ["robots"] * 500, [key for _, key in list(many)[:500]]
    async with driver._pool.acquire() as connection:
        if known:
            await connection.execute("ANALYZE records")
        text = queries.statements("postgres")["records_load"]
        rows = await connection.fetch("EXPLAIN ANALYZE " + text, "site", *keys)
    await driver.close()
    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using records_pkey" in plan
    assert "key = wanted.key" in plan.split("Index Cond")[1]
    assert "loops=500" in plan


def _steps(plan: str, connection: sqlite3.Connection) -> list[str]:
    nulls = (None,) * _variables(plan)
    return [row[3] for row in connection.execute(plan, nulls)]


def _variables(text: str) -> int:
    """How many values a statement takes: `?1` names one, each `?` is one more."""
    highest = 0
    for number in re.findall(r"\?(\d*)", text):
        highest = max(highest, int(number)) if number else highest + 1
    return highest
