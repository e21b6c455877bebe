"""The table of reasons: well formed, and whatever the sources send as a reason is in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from holdfast import errors
from holdfast.reasons import REASONS, Reason

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for package in ("holdfast", "sync", "edge_agent", "cloud_hub")
    for path in (ROOT / package).rglob("*.py")
    if "v1" not in path.parts
)
TAKE_A_REASON = {"Refusal", "Rejected", "Close", "close", "Goodbye", *vars(errors)}
REASON_NAME = re.compile(r"[A-Z][A-Z0-9_]*[A-Z0-9]")
# An instruction begins with what to do.
INSTRUCTION = re.compile(
    r"(Add|Allow|Ask|Check|Choose|Close|Connect|Correct|Declare|Do|Drop|Flatten|Free|Keep|Leave|Let"
    r"|List|Look|Name|Put|Read|Reconnect|Replace|Report|Resume|Run|Send|Split|Start|Stop|Treat|Try"
    r"|Update|Use|Wait|Wrap|Write)\b.*\."
)


@pytest.mark.parametrize("row", REASONS.values(), ids=lambda row: row.name)
def test_a_row_is_well_formed(row: Reason) -> None:
    assert REASON_NAME.fullmatch(row.name)
    assert len(row.name) <= 63  # what google.rpc.ErrorInfo allows
    assert row.status in grpc.StatusCode.__members__
    assert row.status not in {"OK", "UNKNOWN", "CANCELLED"}
    assert row.meaning.endswith(".") and row.meaning[0].isupper()
    assert INSTRUCTION.fullmatch(row.remedy)
    assert row.retry_ms is None or 0 < row.retry_ms <= 60_000


@pytest.mark.parametrize("row", REASONS.values(), ids=lambda row: row.name)
def test_every_reason_has_a_class_of_its_status(row: Reason) -> None:
    kind = errors.kind_of(row.name)
    assert kind.status == row.status
    assert kind.__doc__


def test_a_reason_that_is_new_to_the_client_is_told_by_its_status() -> None:
    assert errors.kind_of("FROM_THE_FUTURE", "ABORTED") is errors.Aborted
    assert errors.kind_of("FROM_THE_FUTURE") is errors.Internal


def test_an_error_says_what_happened_and_what_to_do() -> None:
    error = errors.NotFound("RECORD_NOT_FOUND", "default/tasks/7 does not exist")
    assert str(error) == (
        "RECORD_NOT_FOUND: default/tasks/7 does not exist."
        " Check the path, or read the history of the record."
    )


def _literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text in the tree that is used as a reason: as a keyword, an attribute or a default of
    that name, as an alternative of a type of reasons, and as the first argument of what takes one
    there."""
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        match node:
            case ast.keyword(arg="reason" | "predecessor_reason" | "refusal", value=value):
                found = [value]
            case ast.AnnAssign(target=ast.Name(id="reason"), value=value):
                found = [value]
            case ast.Assign(targets=[ast.Name(id="reason")], value=value):
                found = [value]
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.Subscript(slice=ast.Tuple(alts))
            ):
                found = list(alts) if name.endswith("Reason") else []
            case ast.FunctionDef(args=arguments):
                named = arguments.args[len(arguments.args) - len(arguments.defaults) :]
                pairs = [*zip(named, arguments.defaults, strict=True)]
                pairs += [
                    (arg, default)
                    for arg, default in zip(
                        arguments.kwonlyargs, arguments.kw_defaults, strict=True
                    )
                    if default is not None
                ]
                found = [default for arg, default in pairs if arg.arg == "reason"]
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[first, *_]):
                found = [first] if called in TAKE_A_REASON else []
        for value in found:
            if isinstance(value, ast.Constant) and REASON_NAME.fullmatch(str(value.value)):
                yield value.lineno, str(value.value)


def test_the_scan_finds_reasons() -> None:
    source = """
class A:
    reason = "ONE"
    reason: str = "TWO"
    def f(self, reason: str = "THREE", *, reason2="no"): ...
B_Reason = Literal["FOUR", "FIVE"]
raise Refusal("SIX", "text")
C(reason="SEVEN")
"""
    assert {name for _, name in _literals(ast.parse(source))} == (
        {"ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN"}
    )


@pytest.mark.promise("error.one-table")
def test_every_reason_in_the_sources_is_in_the_table() -> None:
    unknown = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        for line, name in _literals(ast.parse(path.read_text()))
        if name not in REASONS
    ]
    assert not unknown, "add to holdfast/reasons.py:\n" + "\n".join(unknown)
