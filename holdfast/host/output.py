"""What a command prints: a table for a person, lines for a pipe, JSON for a program.

Only a terminal gets a drawn table; a pipe gets the same cells separated by tabs under one line of
names, so that `cut -f2` works and nothing depends on the width of a window. With `--json` all of it
is JSON, and nothing else is printed on standard output.

Invariant: what is printed on a terminal contains no control characters of the data, which could
forge other lines.
"""

import json
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Verbatim:
    """JSON text that is printed as it is: reading and writing it again would change the digits of
    numbers."""

    text: str


class Output:
    """Standard output, in the form that was asked for."""

    def __init__(self, *, as_json: bool = False, stream: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stream = sys.stdout if stream is None else stream

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it: then tables may be drawn and views live."""
        return not self.as_json and self._stream.isatty()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Many things of one kind. JSON: one array of objects, keyed by column."""
        if self.as_json:
            self._write(_json([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
        elif self.is_terminal:
            self._draw(columns, rows)
        else:
            for row in (columns, *rows):
                self._write("\t".join(cell(value) for value in row))

    def facts(self, values: Mapping[str, Any]) -> None:
        """One thing. JSON: one object; else a line `name: value` each."""
        if self.as_json:
            self._write(_json(values, indent=2))
            return
        width = max(map(len, values), default=0) + 1 if self.is_terminal else 0
        for name, value in values.items():
            self._write(f"{name + ':':<{width}} {cell(value)}")

    def event(self, values: Mapping[str, Any], text: str) -> None:
        """One of a stream of things, at once. JSON: one object on a line of its own; else the
        text."""
        self._write(_json(values) if self.as_json else cell(text))
        self._stream.flush()

    def say(self, text: str) -> None:
        """A sentence for people; nothing with `--json`."""
        if not self.as_json:
            self._write(cell(text))

    def _draw(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        # Loaded only here: it costs more time than most commands take.
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.upper(), overflow="fold")
        for row in rows:
            # Text, because a plain string could hold markup.
            table.add_row(*(Text(cell(value)) for value in row))
        Console(file=self._stream).print(table)

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")


def cell(value: Any) -> str:
    """A value as one piece of text: empty for None, JSON for what is nested, control characters
    escaped."""
    if value is None:
        return ""
    if isinstance(value, Verbatim):
        value = value.text
    text = value if isinstance(value, str) else str(value) if not _nested(value) else _json(value)
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _nested(value: Any) -> bool:
    return isinstance(value, bool | dict | list | tuple)


def _json(value: Any, indent: int | None = None) -> str:
    mark, kept = secrets.token_hex(8), list[str]()

    def put_aside(other: object) -> str:
        if not isinstance(other, Verbatim):
            return str(other)
        kept.append(other.text)
        return f"{mark}{len(kept) - 1}."

    text = json.dumps(value, ensure_ascii=False, indent=indent, default=put_aside)
    for number, verbatim in enumerate(kept):
        text = text.replace(f'"{mark}{number}."', verbatim, 1)
    return text
