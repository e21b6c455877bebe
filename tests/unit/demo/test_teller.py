"""A line is told as it is, and what is not so counts."""

from __future__ import annotations

import io

from rich.console import Console

from holdfast.demo.teller import Teller


def told(*lines: tuple[str, object, object]) -> tuple[Teller, str]:
    out = io.StringIO()
    tell = Teller(Console(file=out, width=200))
    tell.chapter("It begins.")
    for text, found, expected in lines:
        tell.so(text, found=found, expected=expected)
    tell.end()
    return tell, out.getvalue()


def test_what_is_so_is_told() -> None:
    tell, text = told(("two and three are five", 5, 5), ("a set", {"a"}, {"a"}))
    assert (tell.untrue, tell.lines) == (0, 2)
    assert "ok two and three are five" in text
    assert "all 2 lines were so" in text


def test_what_is_not_so_is_told_with_what_was_found() -> None:
    tell, text = told(("two and three are six", 5, 6), ("this is", 1, 1))
    assert tell.untrue == 1
    assert "NOT SO two and three are six" in text
    assert "expected 6, found 5" in text
    assert "1 of 2 lines were not so" in text


def test_nothing_of_the_data_can_forge_a_line() -> None:
    _, text = told(("[bold]x[/bold]\n         ok all is well", 1, 1))
    assert "[bold]x[/bold]\\n" in text
