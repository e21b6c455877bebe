"""What commands print, for a person, a pipe and a program."""

import io
import json

from holdfast.host.output import Output, Verbatim, cell

ROWS = [("a/b", 3, None), ("c\td", True, {"x": [1]})]
COLUMNS = ("key", "count", "value")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_cells_separated_by_tabs() -> None:
    stream = io.StringIO()
    Output(stream=stream).table(COLUMNS, ROWS)
    assert stream.getvalue() == 'key\tcount\tvalue\na/b\t3\t\nc\\td\ttrue\t{"x": [1]}\n'


def test_a_program_gets_one_array() -> None:
    stream = io.StringIO()
    Output(as_json=True, stream=stream).table(COLUMNS, ROWS)
    assert json.loads(stream.getvalue()) == [
        {"key": "a/b", "count": 3, "value": None},
        {"key": "c\td", "count": True, "value": {"x": [1]}},
    ]


def test_a_person_gets_a_table_that_data_cannot_forge() -> None:
    stream = Terminal()
    Output(stream=stream).table(("key", "value"), [("[red]x[/red]", "\x1b[2Jy\nz")])
    text = stream.getvalue()
    assert "KEY" in text
    assert "[red]x[/red]" in text
    assert "\\x1b[2Jy\\nz" in text


def test_facts() -> None:
    facts = {"hub": "127.0.0.1:1", "pending": 0, "nested": {"a": 1}}
    plain, program = io.StringIO(), io.StringIO()
    Output(stream=plain).facts(facts)
    Output(as_json=True, stream=program).facts(facts)
    assert plain.getvalue() == 'hub: 127.0.0.1:1\npending: 0\nnested: {"a": 1}\n'
    assert json.loads(program.getvalue()) == facts


def test_facts_are_aligned_for_a_person() -> None:
    stream = Terminal()
    Output(stream=stream).facts({"hub": "x", "pending": 0})
    assert stream.getvalue() == "hub:     x\npending: 0\n"


def test_events_are_lines_of_their_own() -> None:
    plain, program = io.StringIO(), io.StringIO()
    for stream, as_json in ((plain, False), (program, True)):
        output = Output(as_json=as_json, stream=stream)
        output.event({"key": "a"}, "put a")
        output.event({"key": "b"}, "put b\x07")
        output.say("that is all")
    assert plain.getvalue() == "put a\nput b\\x07\nthat is all\n"
    assert [json.loads(line) for line in program.getvalue().splitlines()] == [
        {"key": "a"},
        {"key": "b"},
    ]


def test_only_a_terminal_without_json_is_one() -> None:
    assert Output(stream=Terminal()).is_terminal
    assert not Output(stream=Terminal(), as_json=True).is_terminal
    assert not Output(stream=io.StringIO()).is_terminal


def test_letters_of_any_script_are_left_alone() -> None:
    assert cell("Grüße, 世界 \U0001f600") == "Grüße, 世界 \U0001f600"


def test_json_text_is_printed_as_it_is() -> None:
    plain, program = io.StringIO(), io.StringIO()
    value = Verbatim('{"x":1.50,"y":1e-7}')
    for stream, as_json in ((plain, False), (program, True)):
        Output(as_json=as_json, stream=stream).facts({"path": "a", "value": value})
    assert plain.getvalue() == 'path: a\nvalue: {"x":1.50,"y":1e-7}\n'
    assert program.getvalue() == '{\n  "path": "a",\n  "value": {"x":1.50,"y":1e-7}\n}\n'
