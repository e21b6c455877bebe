"""Tells a story line by line, and holds what happens against what is said.

Invariant: a line that says what is so was looked up; if it is not so the line says that, and the
story ends with an exit code other than zero.
"""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.text import Text

from holdfast.host.output import cell


class Teller:
    """Writes to a terminal, in colours, or plain to a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_s = time.monotonic()
        self.untrue = 0
        """Lines that turned out otherwise than the story says."""
        self.lines = 0

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self._began_s

    def chapter(self, title: str) -> None:
        """What comes now."""
        self._console.print()
        self._console.print(Text(f"{self.seconds:5.1f} s  {title}", style="bold"))

    def so(self, text: str, *, found: Any = True, expected: Any = True) -> None:
        """Something that is so, as the daemons say themselves: what was found is what is
        expected."""
        self.lines += 1
        if found == expected:
            self._console.print(Text("         ").append("ok ", style="green").append(cell(text)))
            return
        self.untrue += 1
        line = Text("         ").append("NOT SO ", style="bold red").append(cell(text))
        self._console.print(line)
        self._console.print(Text(f"         expected {cell(expected)}, found {cell(found)}"))

    def end(self) -> None:
        """How it went."""
        self._console.print()
        if self.untrue:
            verdict = Text(f"{self.untrue} of {self.lines} lines were not so", style="bold red")
        else:
            verdict = Text(f"all {self.lines} lines were so, in {self.seconds:.0f} s", style="bold")
        self._console.print(verdict)
