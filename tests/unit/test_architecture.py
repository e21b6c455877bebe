"""ARCHITECTURE.md shows what is: its diagrams are those of the tables, its rooms exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sync import messages, transitions
from tests import diagrams

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
)
TEXT = diagrams.DOCUMENT.read_text()


def test_its_diagrams_are_fresh() -> None:
    assert diagrams.drawn(TEXT) == TEXT, "run make diagrams"


def test_a_stale_diagram_is_drawn_anew_and_nothing_else_changes() -> None:
    stale = TEXT.replace("greeting --> streaming", "greeting --> closed", 1)
    assert stale != TEXT
    assert diagrams.drawn(stale) == TEXT


def test_a_marker_without_a_diagram_is_a_mistake() -> None:
    with pytest.raises(diagrams.UnknownDiagram):
        diagrams.drawn(TEXT.replace("<!-- diagram stream-hub -->", "<!-- diagram stream-moon -->"))


def test_every_message_of_the_stream_is_in_its_diagram() -> None:
    edge, hub = (transitions.diagram(table) for table in (transitions.EDGE, transitions.HUB))
    for kind in messages.HubMessage.__args__:
        assert re.search(rf"\b{kind.__name__}\b", edge), kind
    for kind in messages.EdgeMessage.__args__:
        assert re.search(rf"\b{kind.__name__}\b", hub), kind


def test_its_rooms_exist() -> None:
    rooms = re.findall(r"^\| `([a-z_/]+/)` \|", TEXT, re.MULTILINE)
    assert rooms
    assert [room for room in rooms if not (ROOT / room).is_dir()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    path = ROOT / name
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []
