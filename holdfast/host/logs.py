"""Log lines for whoever reads them: JSON for the journal, text on a terminal; on stderr, by the
standard library.

In a service each line is `<N>{...}`: the prefix is the syslog level, which the journal takes off
and files, so that `journalctl -p warning` works; the rest is one JSON object. Fields come from
`extra={"edge": ...}`.

Secrets are kept out twice: a field whose name says that it holds one is replaced, and so are the
known shapes of them in any text, tracebacks included. That is a net, not a licence: nothing here
can know an unnamed secret.

Invariant: a record is one line of at most MAX_LINE_CHARS characters, whatever is logged.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

MAX_TEXT_CHARS = 8_000
"""Of one message, field or traceback."""

MAX_LINE_CHARS = 24_000
"""Of a whole line. The journal cuts lines at 48 KiB, which would leave two halves of a JSON
object."""

HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"(?i)(pass(word|phrase|wd)?|secret|token|api_?key|private_?key|authorization|credential)s?$"
)
_SECRET_TEXT = (
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"(?i)\b((?:\w*_)?(?:password|passwd|secret|token|api_?key)[\"']?\s*[=:]\s*)[\"']?[^\s\"',;&]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        HIDDEN,
    ),
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends all of the process's log records to `stream` (default stderr), in the form that suits
    it.

    Called once, at the start; replaces what was configured before. `level` is a name of the logging
    module.
    """
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    handler.setFormatter(TerminalFormatter() if target.isatty() else JournalFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # It reports every statement at DEBUG and would tell of values.
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """Another level, from now on."""
    logging.getLogger().setLevel(level)


def redacted(text: str) -> str:
    """The text without what looks like a secret in it."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


class JournalFormatter(logging.Formatter):
    """`<6>{"time": ..., "level": "INFO", "logger": ..., "message": ..., fields, "error":
    traceback}`."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _bounded(redacted(record.getMessage())),
        }
        # A field cannot take the place of what every line has.
        entry |= {name: value for name, value in _fields(record) if name not in entry}
        if error := _traceback(self, record):
            entry["error"] = error
        line = json.dumps(entry, ensure_ascii=False, default=str)
        if len(line) > MAX_LINE_CHARS:
            kept = {name: entry[name] for name in ("time", "level", "logger", "message")}
            line = json.dumps(kept | {"dropped": "fields: too long"}, ensure_ascii=False)
        return f"<{_syslog_level(record.levelno)}>{line}"


class TerminalFormatter(logging.Formatter):
    """`12:30:01 INFO  uplink  connected  hub=127.0.0.1:7443`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        name = record.name.rpartition(".")[2]
        fields = "".join(f"  {key}={_printable(str(value))}" for key, value in _fields(record))
        message = _printable(_bounded(redacted(record.getMessage())))
        error = _traceback(self, record)
        return f"{moment} {record.levelname:<7} {name}  {message}{fields}" + (
            f"\n{error}" if error else ""
        )


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    for name, value in vars(record).items():
        if name in _STANDARD:
            continue
        if _SECRET_NAME.search(name):
            yield name, HIDDEN
        elif isinstance(value, int | float | bool | None):
            yield name, value
        else:
            yield name, _bounded(redacted(str(value)))


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    text = redacted(formatter.formatException(record.exc_info))
    # Its end says what happened.
    return text if len(text) <= MAX_TEXT_CHARS else "... " + text[-MAX_TEXT_CHARS:]


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS] + " ..."


def _printable(text: str) -> str:
    """Without line breaks and control characters, with which a logged value could rewrite the
    screen."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _syslog_level(level: int) -> int:
    for least, number in (
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
    ):
        if level >= least:
            return number
    return 7
