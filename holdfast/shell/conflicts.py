"""conflicts list, show, resolve, undo: the same at an edge and at a hub.

An id is shown without its leading zeros, and taken so.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output, Verbatim
from holdfast.shell import printing
from holdfast.shell.arguments import ACTOR, ACTOR_VARIABLE, DURATION, default_actor
from holdfast.shell.doors import Door

if TYPE_CHECKING:
    from holdfast.client import Client, Conflict, ConflictSide

Function = Callable[..., Any]

COLUMNS = ("id", "record", "field", "kind", "winner", "ours", "theirs", "state")
SIDES = ("", "base", "ours", "theirs", "result", "now")
STATES = ("open", "resolved", "auto", "undone")
ID_DIGITS = 32
EXAMPLE = "2f1c9d03a7b44e012"


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType


class _Id(ParamType):
    """The hexadecimal digits of an id; leading zeros may be left out."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, bytes):
            return value
        try:
            return bytes.fromhex(str(value).zfill(ID_DIGITS))
        except ValueError:
            self.fail(f"{value!r}: write an id as `conflicts list` shows it", param, ctx)


def commands(door: Door) -> list[click.Command]:
    """The group of them, for one kind of daemon."""

    @click.group(
        "conflicts",
        epilog=epilog(
            f"{door.program} conflicts list default",
            f"{door.program} conflicts show {EXAMPLE}",
            f"{door.program} conflicts resolve {EXAMPLE} theirs --note 'asked Maria'",
        ),
    )
    def conflicts() -> None:
        """What was written concurrently, what was decided, and what a person says of it."""

    for make in (_list, _show, _resolve, _undo):
        conflicts.add_command(make(door))
    return [conflicts]


def _list(door: Door) -> click.Command:
    examples = ("conflicts list default --limit 10", "conflicts list --state open")

    @click.command("list", epilog=epilog(*(f"{door.program} {each}" for each in examples)))
    @click.argument("space", default="default")
    @click.option(
        "--state", "states", type=click.Choice(STATES), multiple=True,
        help="Only those in this state; repeatable. open: they wait for a person.",
    )  # fmt: skip
    @click.option("--collection", default="", help="Only those of this collection.")
    @click.option("--prefix", default="", help="Only those of records whose key begins so.")
    @click.option("--kind", "kinds", multiple=True, help="Only those of this kind; repeatable.")
    @click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
    @door.takes_client
    @output_option
    def list_(
        space: str, states: tuple[str, ...], collection: str, prefix: str,
        kinds: tuple[str, ...], limit: int, client: Client, output: Output,
    ) -> None:  # fmt: skip
        """List conflicts, newest first. A hub has all of them, an edge those that wait for a
        person, or did. JSON: one object a line."""
        found = client.conflicts(
            space, states=states, collection=collection, key_prefix=prefix, kinds=kinds
        )
        printing.show(output, COLUMNS, map(_row, islice(found, limit)))

    return list_


def _row(found: Conflict) -> tuple[printing.Document, Sequence[Any]]:
    document = printing.conflict_document(found)
    ours, theirs = document["ours"] or {}, document["theirs"]
    return document, (
        short(found.id),
        f"{document['collection']}/{document['key']}",
        found.field or "(record)",
        found.kind + (f" ({found.reason})" if found.reason else ""),
        found.winner,
        ours.get("value"),
        theirs["value"],
        str(found.state),
    )


def _show(door: Door) -> click.Command:
    @click.command("show", epilog=epilog(f"{door.program} conflicts show {EXAMPLE}"))
    @_names_one
    @door.takes_client
    @output_option
    def show(id_: bytes, space: str, client: Client, output: Output) -> None:
        """Show one conflict: what its author had seen (base), what the hub had (ours), what came
        (theirs), what stood after the decision (result), and the record as it is now, side by
        side."""
        found = client.conflict(space, id_)
        if output.as_json:
            now = Verbatim(found.record.json) if found.record is not None else None
            output.facts(printing.conflict_document(found) | {"now": now})
            return
        output.facts(_facts(found))
        output.say("")
        output.table(SIDES, _side_by_side(found))

    return show


def _facts(found: Conflict) -> printing.Document:
    facts: printing.Document = {
        "conflict": short(found.id),
        "record": found.path,
        "field": found.field or "(record)",
        "kind": found.kind + (f" ({found.reason})" if found.reason else ""),
        "decided": _decision(found),
        "state": str(found.state),
        "ours": _who(found.ours),
        "theirs": _who(found.theirs),
    }
    if found.detail:
        facts["detail"] = found.detail
    if found.clock_suspect:
        facts["clock"] = "suspect: the device's time is more than 5 s off"
    if found.answer is not None:
        said = found.answer
        note = f": {said.note}" if said.note else ""
        facts["answer"] = f"{said.choice}, says {printing.actor_words(said.actor)}{note}"
    if found.abridged:
        facts["values"] = "too large to be carried here; the hub has them"
    return facts


def _decision(found: Conflict) -> str:
    policy = f" (policy of revision {found.rule_version})" if found.rule_version else ""
    return f"{found.winner} by {found.algorithm}{policy} at revision {found.revision}"


def _who(side: ConflictSide | None) -> str:
    if side is None:
        return "nobody"
    who = printing.actor_words(side.actor) if side.actor is not None else "no longer known"
    return f"{who} at {printing.moment(side.stamp)}"


def _side_by_side(found: Conflict) -> Iterator[Sequence[Any]]:
    """A row for the field, or for each field of the record."""
    ours = found.ours.json if found.ours is not None else None
    now = found.record.json if found.record is not None else None
    texts = (found.base, ours, found.theirs.json, found.result, now)
    if found.field:
        yield (found.field, *map(_value, texts[:-1]), _member(now, found.field))
        return
    objects = [_object(text) for text in texts]
    if any(one is None for one in objects):  # a list of names to remove, say
        yield ("(record)", *map(_value, texts))
        return
    names = sorted({name for one in objects if one for name in one})
    for name in names or ["(record)"]:
        yield (name, *(one.get(name, _value(None)) if one else _value(None) for one in objects))


def _value(text: str | None) -> Any:
    return Verbatim(text) if text is not None else "-"


def _member(text: str | None, name: str) -> Any:
    found = _object(text)
    return found.get(name, "-") if found else "-"


def _object(text: str | None) -> dict[str, Any] | None:
    """The members of an object, numbers as they were written; {} for none, None for another kind
    of value."""
    if text is None:
        return {}
    value = json.loads(text, parse_int=_Digits, parse_float=_Digits)
    if not isinstance(value, dict):
        return None
    return {name: _text(member) for name, member in value.items()}


class _Digits(str):
    """A number, with the digits that it was written with."""

    __slots__ = ()


def _text(member: Any) -> Verbatim:
    if isinstance(member, _Digits):
        return Verbatim(str(member))
    return Verbatim(json.dumps(member, ensure_ascii=False))


def _resolve(door: Door) -> click.Command:
    examples = (f"resolve {EXAMPLE} theirs", f"resolve {EXAMPLE} value --value '\"docked\"'")

    @click.command(
        "resolve", epilog=epilog(*(f"{door.program} conflicts {each}" for each in examples))
    )
    @_names_one
    @click.argument("choice", type=click.Choice(("ours", "theirs", "merged", "value")))
    @click.option(
        "--value", "text",
        help="With the choice `value`: JSON for the field, or an object for the record.",
    )  # fmt: skip
    @_answers(door)
    def resolve(
        id_: bytes, space: str, choice: Any, text: str | None, client: Client, output: Output,
        **options: Any,
    ) -> int:  # fmt: skip
        """Say what shall stand: `ours` (what the hub had), `theirs` (what came), `merged` (what the
        rule made of both), or another value.

        It is refused if the record is no more as the conflict left it; with --now it is conditional
        on the record as it is at this moment. `ours` on work that was rejected lets it rest.
        """
        if (choice == "value") != (text is not None):
            raise click.UsageError("--value belongs to the choice `value`, and it to that")
        found = client.conflict(space, id_)
        receipt = client.resolve(found, choice, json=text or "", **_said(found, options))
        return printing.receipt(receipt, output, options)

    return resolve


def _undo(door: Door) -> click.Command:
    @click.command("undo", epilog=epilog(f"{door.program} conflicts undo {EXAMPLE}"))
    @_names_one
    @_answers(door)
    def undo(id_: bytes, space: str, client: Client, output: Output, **options: Any) -> int:
        """Put back what lost; or, of what a person did, what stood before. An undo can be undone.

        It is refused if the record is no more as the conflict, or the last answer, left it; with
        --now it is conditional on the record as it is at this moment.
        """
        found = client.conflict(space, id_)
        receipt = client.undo(found, **_said(found, options))
        return printing.receipt(receipt, output, options)

    return undo


def _said(found: Conflict, options: dict[str, Any]) -> Any:
    said = {"actor": options["actor"], "note": options["note"]}
    if options["now"]:
        said["seen"] = found.record
    return said


def _answers(door: Door) -> Callable[[Function], Function]:
    """What every answer takes: who, why, on which condition, and whether to wait."""
    options = (
        click.option(
            "--actor", type=ACTOR, envvar=ACTOR_VARIABLE, default=default_actor,
            metavar="ID[:KIND]", show_default="HOLDFAST_ACTOR, or the user's name",
            help="Who says so; the kind is human, robot, ai or system.",
        ),
        click.option("--note", default="", help="Why, for people."),
        click.option("--now", is_flag=True, help="On the record as it is at this moment."),
        click.option("--wait", is_flag=True, help="Wait until the hub has decided."),
        click.option(
            "--timeout", type=DURATION, default="30s", show_default=True,
            help="How long to wait at most.",
        ),
        door.takes_client,
        output_option,
    )  # fmt: skip

    def decorate(function: Function) -> Function:
        return functools.reduce(lambda inner, option: option(inner), reversed(options), function)

    return decorate


def _names_one(function: Function) -> Function:
    """The argument that names a conflict."""
    named = click.argument("id_", metavar="ID", type=_Id())
    space = click.option("--space", default="default", show_default=True, help="Where it is.")
    return named(space(function))


def short(id_: bytes) -> str:
    """An id for people."""
    return id_.hex().lstrip("0")
