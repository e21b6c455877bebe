"""What a person sees of a running demo: a table on a terminal, drawn anew; lines in a pipe."""

from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from holdfast.demo.children import HUB_ADDRESS, House
from holdfast.demo.state import Look, space_of
from holdfast.host.output import cell
from holdfast.shell.doors import HUB_FILE

LINE_SECONDS = 5.0
"""Between lines in a pipe."""

RATE_SECONDS = 3.0
"""Rates are over so long: shorter ones jump, longer ones lag."""


class View(Protocol):
    """Shows looks as they come, inside `with`."""

    def show(self, look: Look, now_s: float) -> None:
        """Shows it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...  # fmt: skip


class Quiet:
    """Shows nothing: only the result is wanted."""

    def show(self, look: Look, now_s: float) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""


class Rates:
    """How fast counters grow, per second."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[tuple[float, int]]] = {}

    def of(self, name: str, value: int, now_s: float) -> float:
        """Notes a counter's value, and returns its rate over the last seconds."""
        kept = self._kept.setdefault(name, deque(maxlen=64))
        kept.append((now_s, value))
        while now_s - kept[0][0] > RATE_SECONDS and len(kept) > 2:
            kept.popleft()
        (then, before), elapsed = kept[0], now_s - kept[0][0]
        del then
        return (value - before) / elapsed if elapsed > 0 else 0.0


class Lines(Quiet):
    """One line every few seconds."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._rates = Rates()

    def show(self, look: Look, now_s: float) -> None:
        """Writes a line if it is time."""
        rate = self._rates.of("hub", look.hub["revision"], now_s)
        if now_s < self._next_s:
            return
        self._next_s = now_s + LINE_SECONDS
        edges = ", ".join(
            f"{name} {one['link']} at {space_of(one).get('revision', 0)}"
            f" with {one['pending']} pending"
            for name, one in look.edges.items()
        )
        hub = f"hub at {look.hub['revision']} ({rate:.1f}/s), {look.hub['conflicts']} conflicts"
        sys.stdout.write(f"{hub}; {edges}\n")
        sys.stdout.flush()


class Screen:
    """A table that is drawn anew."""

    def __init__(self, console: Console) -> None:
        self._rates = Rates()
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._live.__exit__(kind, error, trace)

    def show(self, look: Look, now_s: float) -> None:
        """Draws it."""
        parts: list[Any] = [self._edges(look, now_s), Text(), self._hub(look, now_s)]
        if look.recent:
            parts += [Text(), _recent(look)]
        self._live.update(Group(*parts, Text(), Text("Ctrl-C ends it.", style="dim")), refresh=True)

    def _edges(self, look: Look, now_s: float) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("edge", "link", "position", "pending", "written/s", "received/s", "alarms"):
            table.add_column(name.upper(), min_width=10)
        for name, one in look.edges.items():
            space = space_of(one)
            link = Text(one["link"], style="green" if one["connected"] else "red")
            table.add_row(
                name,
                link,
                f"{space.get('revision', 0)} of {space.get('head', 0)}",
                str(one["pending"]),
                f"{self._rates.of(name + '.commits', one['commits'], now_s):.1f}",
                f"{self._rates.of(name + '.applied', one['applied'], now_s):.1f}",
                ", ".join(one["alarms"]) or "none",
            )
        return table

    def _hub(self, look: Look, now_s: float) -> Text:
        rate = self._rates.of("hub", look.hub["revision"], now_s)
        records = sum(one["records"] for one in look.hub["digests"].values())
        return Text(
            f"hub: revision {look.hub['revision']}, {rate:.1f} changes/s, {records} records,"
            f" {look.hub['conflicts']} conflicts"
        )


def _recent(look: Look) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("conflict at", "record", "field", "kept", "lost"):
        table.add_column(name.upper(), overflow="ellipsis", no_wrap=True)
    for one in look.recent:
        sides = ("ours", "theirs") if one["winner"] == "ours" else ("theirs", "ours")
        kept, lost = (cell((one[side] or {}).get("value")) for side in sides)
        if one["winner"] == "merged":
            kept = cell(one["result"])
        record = cell(f"{one['collection']}/{one['key']}")
        field = cell(one["field"]) or "(record)"
        table.add_row(str(one["revision"]), Text(record), Text(field), Text(kept), Text(lost))
    return table


def commands_to_try(house: House) -> list[str]:
    """Three commands that work as they are, in the folder where the demo was started."""
    here = Path.cwd()
    programs = Path(sys.executable).parent
    shown = programs.relative_to(here) if programs.is_relative_to(here) else programs
    edge = hub = ""
    if house.directory / HUB_ADDRESS != HUB_FILE:
        edge, hub = f" --socket {house.socket('edge-a')}", f" --hub {house.hub}"
    return [
        f"{shown}{os.sep}edge-agent status{edge}",
        f"{shown}{os.sep}edge-agent watch default/tasks{edge}",
        f"{shown}{os.sep}cloud-hub conflicts list default --limit 5{hub}",
    ]
