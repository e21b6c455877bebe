"""Log lines: their two forms, their limits, and what never gets into them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from holdfast.host.logs import HIDDEN, MAX_LINE_CHARS, configure, redacted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:
        root.removeHandler(handler)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def journal() -> io.StringIO:
    stream = io.StringIO()
    configure("DEBUG", stream)
    return stream


log = logging.getLogger("edge_agent.uplink")


def entry(stream: io.StringIO) -> tuple[int, dict[str, object]]:
    (line,) = stream.getvalue().splitlines()
    level, _, text = line.partition(">")
    parsed: dict[str, object] = json.loads(text)
    return int(level.removeprefix("<")), parsed


@pytest.mark.parametrize(
    ("level", "number"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)]
)
def test_the_journal_learns_the_level(journal: io.StringIO, level: str, number: int) -> None:
    getattr(log, level)("said")
    syslog, line = entry(journal)
    assert syslog == number
    assert line["level"] == level.upper()


def test_a_journal_line_is_one_object_with_its_fields(journal: io.StringIO) -> None:
    log.info("two\nlines of %s", "it", extra={"edge": "e1", "pending": 3, "level": "forged"})
    _, line = entry(journal)
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "edge_agent.uplink",
        "message": "two\nlines of it",
        "edge": "e1",
        "pending": 3,
    }


def test_an_exception_is_in_the_same_line(journal: io.StringIO) -> None:
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        log.exception("failed")
    _, line = entry(journal)
    assert "ValueError" in str(line["error"])
    assert "hunter2" not in journal.getvalue()


def test_a_terminal_gets_text_without_control_characters() -> None:
    stream = Terminal()
    configure(stream=stream)
    log.warning("key \x1b[2J\nis odd", extra={"hub": "127.0.0.1:1\r"})
    line = stream.getvalue()
    assert "WARNING uplink  key \\x1b[2J\\nis odd  hub=127.0.0.1:1\\r\n" in line
    assert not line.startswith("<")


def test_levels_below_the_one_asked_for_are_silent() -> None:
    stream = io.StringIO()
    configure("WARNING", stream)
    log.info("silent")
    assert stream.getvalue() == ""


def test_a_line_has_a_limit(journal: io.StringIO) -> None:
    log.info("x" * 100_000, extra={f"field{n}": "y" * 100_000 for n in range(10)})
    _, line = entry(journal)
    assert len(journal.getvalue()) <= MAX_LINE_CHARS
    assert str(line["message"]).startswith("xxx")


def test_a_long_traceback_keeps_its_end(journal: io.StringIO) -> None:
    try:
        raise ValueError("y" * 20_000 + " the end")
    except ValueError:
        log.exception("failed")
    _, line = entry(journal)
    assert str(line["error"]).endswith("the end")


@pytest.mark.parametrize("name", ["token", "join_token", "password", "api_key", "authorization"])
def test_a_field_named_for_a_secret_is_hidden(journal: io.StringIO, name: str) -> None:
    log.info("x", extra={name: "s3cret-value"})
    assert entry(journal)[1][name] == HIDDEN
    assert "s3cret" not in journal.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://hub:s3cret@db:5432/x", f"postgresql://{HIDDEN}@db:5432/x"),
        ("Authorization: Bearer s3cret.abc", f"Authorization: Bearer {HIDDEN}"),
        ("token=s3cret, edge=e1", f"token={HIDDEN}, edge=e1"),
        ("join_token: 's3cret' given", f"join_token: {HIDDEN}' given"),
        ('{"password": "s3cret"}', f'{{"password": {HIDDEN}"}}'),
        ("-----BEGIN EC PRIVATE KEY-----\ns3cret\n-----END EC PRIVATE KEY-----!", f"{HIDDEN}!"),
        ("-----BEGIN PRIVATE KEY-----\ns3cret", HIDDEN),
        ("tokens: nothing secret about space/collection:key", None),
        ("http://127.0.0.1:80/a@b", None),
    ],
)
def test_known_shapes_of_secrets_are_hidden(text: str, shown: str | None) -> None:
    assert redacted(text) == (text if shown is None else shown)
