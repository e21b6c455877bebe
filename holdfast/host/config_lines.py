"""The line of a TOML file on which a setting stands, for the words of an error.

The parser of the standard library keeps no lines. This reads only what settings are written with:
`[section]` headers, and `name = value` or `section.name = value` at the beginning of a line. What
is written in another way (inside an inline table, with quotes) is just not found.

Invariant: a line that is returned has the last part of the key as its name.
"""

import re

_HEADER = re.compile(r"\s*\[\s*([\w.\s-]+?)\s*\]\s*(#.*)?$")
_NAME = re.compile(r"\s*([\w-]+(?:\s*\.\s*[\w-]+)*)\s*=")


def line_of(text: str, key: str) -> int | None:
    """The number of the line, beginning at 1, on which `section.key` is set; None if that is not
    plain to see."""
    section = ""
    found: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = _plain(header[1]) + "."
            if section == f"{key}.":
                found.append(number)
        elif (name := _NAME.match(line)) and section + _plain(name[1]) == key:
            found.append(number)
    # Twice can only mean that one of them stands inside a text of several lines.
    return found[0] if len(found) == 1 else None


def _plain(dotted: str) -> str:
    return re.sub(r"\s+", "", dotted)
