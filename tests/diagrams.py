"""Draws the diagrams of ARCHITECTURE.md from the tables they show.

A diagram that is drawn by hand is true on the day it is drawn. These stand between two markers in
the document and are written anew by `python -m tests.diagrams` (`make diagrams`); a test fails when
they are stale.

Invariant: `drawn(drawn(text)) == drawn(text)`, and nothing outside the markers changes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sync import transitions, workflow

DOCUMENT = Path(__file__).parents[1] / "ARCHITECTURE.md"

DIAGRAMS = {
    "stream-edge": transitions.diagram(transitions.EDGE, transitions.EDGE_STEPS),
    "stream-hub": transitions.diagram(transitions.HUB),
    "workflow-states": workflow.diagram(),
}
"""Every diagram by the name in its markers, as Mermaid."""

_BLOCK = re.compile(
    r"(?P<begin><!-- diagram (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of diagram -->)", re.DOTALL
)


class UnknownDiagram(Exception):
    """A marker names a diagram that is not drawn here, or a diagram has no marker."""


def drawn(text: str) -> str:
    """The document with its diagrams as the tables are now. Raises UnknownDiagram."""
    named = [block["name"] for block in _BLOCK.finditer(text)]
    if sorted(named) != sorted(DIAGRAMS):
        raise UnknownDiagram(f"markers name {sorted(named)}, drawn are {sorted(DIAGRAMS)}")
    return _BLOCK.sub(_block, text)


def _block(block: re.Match[str]) -> str:
    diagram = DIAGRAMS[block["name"]]
    return f"{block['begin']}```mermaid\n{diagram}\n```\n{block['end']}"


def main() -> int:
    """Writes the diagrams into the document."""
    before = DOCUMENT.read_text()
    after = drawn(before)
    if after != before:
        DOCUMENT.write_text(after)
    print(f"{DOCUMENT.name}: {'drawn anew' if after != before else 'was fresh'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
