"""Other libraries for texts that several people type into, on the same work: in this process and in
memory, where the product writes to its disk.

An edge's counterpart is a document that is edited, whose update is taken after each commit. The
hub's counterpart is a document that takes the updates of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from tests.benchmarks.keystrokes import Edit


class Document(Protocol):
    """A text of one person."""

    def commit(self, edits: Iterable[Edit]) -> bytes:
        """Does edits in one transaction; the update for others."""
        ...

    def take(self, update: bytes) -> None:
        """What another did."""
        ...

    def text(self) -> str: ...


class Pycrdt:
    """Yrs, the port of Yjs to Rust."""

    def __init__(self) -> None:
        import pycrdt

        self._doc: Any = pycrdt.Doc()
        self._text: Any = self._doc.get("body", type=pycrdt.Text)
        self._updates: list[bytes] = []
        self._doc.observe(lambda event: self._updates.append(event.update))

    def commit(self, edits: Iterable[Edit]) -> bytes:
        self._updates.clear()
        with self._doc.transaction():
            for edit in edits:
                if edit.deleted:
                    del self._text[edit.at : edit.at + edit.deleted]
                if edit.inserted:
                    self._text.insert(edit.at, edit.inserted)
        return self._updates[-1]

    def take(self, update: bytes) -> None:
        self._doc.apply_update(update)

    def text(self) -> str:
        return str(self._text)


class Loro:
    """Loro, in Rust."""

    def __init__(self) -> None:
        import loro

        made: Any = loro.LoroDoc
        self._doc = made()
        self._text: Any = self._doc.get_text("body")
        self._updates: list[bytes] = []
        self._kept = self._doc.subscribe_local_update(self._note)

    def _note(self, update: bytes) -> bool:
        self._updates.append(update)
        return True

    def commit(self, edits: Iterable[Edit]) -> bytes:
        self._updates.clear()
        for edit in edits:
            if edit.deleted:
                self._text.delete(edit.at, edit.deleted)
            if edit.inserted:
                self._text.insert(edit.at, edit.inserted)
        self._doc.commit()
        return self._updates[-1]

    def take(self, update: bytes) -> None:
        self._doc.import_(update)

    def text(self) -> str:
        return str(self._text.to_string())


PEERS: dict[str, Callable[[], Document]] = {"pycrdt": Pycrdt, "loro": Loro}


def installed() -> dict[str, Callable[[], Document]]:
    """Those that can be imported."""
    found: dict[str, Callable[[], Document]] = {}
    for name, make in PEERS.items():
        try:
            make()
        except ImportError:
            continue
        found[name] = make
    return found
