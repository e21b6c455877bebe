"""What a record holds: its value, and beside it the texts and lists of it that have become long.

A splice makes pages of a text that it leaves longer than LONG_BYTES; from then on a reference
stands in the value, until the field is written in another way. So what a record is made of depends
on its operations alone. Its digest depends on less: on what the record says, whatever of it stands
in pages.

No store has pages yet: records are whole values of at most MAX_VALUE_BYTES, and this is the core
that stores are to stand on.

Invariant: a document is in `texts` whenever a reference to it stands in the value.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from sync import splices, values
from sync.pages import MAX_WHOLE_BYTES, Changes, Pages, shape_of, too_large
from sync.references import LONG_BYTES, reference_in, refers
from sync.transform import Splice, SpliceMismatch, apply
from sync.values import Document, InvalidValue

_MEMBERS = (b'"', b"[")


class Body:
    """A value that is written to many times. `max_text_bytes` refuses longer texts; zero: none,
    since who follows decisions has nothing to refuse."""

    __slots__ = ("_document", "_texts", "max_text_bytes")

    def __init__(
        self, value: bytes, texts: dict[str, Pages] | None = None, max_text_bytes: int = 0
    ) -> None:
        self._document = Document(value)
        self._texts = {} if texts is None else texts
        self.max_text_bytes = max_text_bytes

    def copy(self) -> Body:
        """One that goes another way."""
        texts = {name: pages.copy() for name, pages in self._texts.items()}
        return Body(self.value, texts, self.max_text_bytes)

    @property
    def value(self) -> bytes:
        """The canonical object, with references."""
        return self._document.text

    @property
    def texts(self) -> dict[str, Pages]:
        """The documents in pages that the value refers to."""
        if not self._texts:
            return self._texts
        return {name: pages for name, pages in self._texts.items() if self._refers(name)}

    @property
    def replaced(self) -> dict[str, Pages]:
        """Documents that the value does not refer to any more."""
        return {name: pages for name, pages in self._texts.items() if not self._refers(name)}

    @property
    def whole(self) -> bytes:
        """The object with all documents in it, which are loaded."""
        return whole(self.value, {name: pages.text for name, pages in self.texts.items()})

    def _refers(self, name: str) -> bool:
        return self._document.reference(name) is not None

    # -- writes --------------------------------------------------------------

    def replace(self, value: bytes) -> None:
        """Becomes another object. What it refers to stays, edited where it says so."""
        self._document.replace(value)
        if self._texts and refers(value):
            edits = splices.edits_of_references(value)
            self._document.replace(splices.without_edits(value))
            for name in edits.keys() & self._texts.keys():
                try:
                    self._texts[name].splice(edits[name], self.max_text_bytes)
                except SpliceMismatch as error:
                    raise InvalidValue(
                        "SPLICE_MISMATCH", f"field {name[:60]!r}: {error}"
                    ) from error

    def merge(self, sets: bytes, *, plain: bool = False) -> list[str]:
        """Sets members; returns their names. Raises InvalidValue; then nothing has changed."""
        return self._document.merge(sets, plain=plain)

    def splice(self, edits: Mapping[str, Splice]) -> None:
        """Edits texts and lists, each at the cost of what is edited. Raises InvalidValue; then only
        edits before the one at fault are there."""
        for name, edit in edits.items():
            try:
                self._splice(name, edit)
            except SpliceMismatch as error:
                raise InvalidValue("SPLICE_MISMATCH", f"field {name[:60]!r}: {error}") from error

    def _splice(self, name: str, edit: Splice) -> None:
        document, found = self._document, self._texts.get(name)
        if found is not None and self._refers(name):
            found.splice(edit, self.max_text_bytes)
            document.refer(name, found.reference)
            return
        before = document.said(name)
        after = None if before is None else apply(edit, before)
        if after is None:
            had = values.fields(document.text).get(name)
            after = apply(edit, splices.content_of(had, edit))
        grows = sum(len(orjson.dumps(run)) for run in edit.runs if isinstance(run, str))
        if document.bound + grows > LONG_BYTES or not isinstance(after, str):
            text = splices.text_of(after)
        else:
            text = b""  # in a value of that size nothing is long
        if len(text) <= LONG_BYTES:
            said = isinstance(after, str) and before is not None
            if not said or not document.say(name, str(after), grows):
                text = text or splices.text_of(after)
                document.replace(values.merge(document.text, values.join({name: text})))
            return
        if self.max_text_bytes and len(text) > self.max_text_bytes:
            raise too_large(self.max_text_bytes)
        made = self._texts[name] = Pages.of(after, found)
        document.refer(name, made.reference)

    def length_of(self, name: str) -> int:
        """Of the text or list in a field. Raises InvalidValue for what is neither."""
        found = self._texts.get(name)
        if found is not None and self._refers(name):
            return found.units
        said = self._document.said(name)
        if said is not None:
            return len(said)
        text = values.fields(self._document.text).get(name)
        return 0 if text is None else len(splices.content_of(text, Splice((), 0, 0)))

    # -- what is stored ------------------------------------------------------

    def wanted(self, *, everything: bool = False) -> dict[str, list[int]]:
        """Pages to be loaded before `settle`, by field; when they are, there may be more."""
        found = {n: pages.wanted(everything=everything) for n, pages in self.texts.items()}
        return {name: names for name, names in found.items() if names}

    def settle(self) -> dict[str, tuple[Changes, bytes]]:
        """What is to be stored of documents: pages, and the index; an empty one where there is no
        document any more."""
        found: dict[str, tuple[Changes, bytes]] = {}
        for name, pages in self.replaced.items():
            del self._texts[name]
            if pages.saved:
                found[name] = (Changes(gone=set(pages.stored)), b"")
        for name, pages in self._texts.items():
            before = pages.saved
            changes = pages.settle()
            if pages.saved != before:
                found[name] = (changes, pages.saved)
        return found

    @property
    def shape(self) -> tuple[bytes, dict[str, bytes]]:
        """What a digest is of. Documents are settled, and short ones loaded."""
        return shape(self.value, self.texts)


def shape(value: bytes, texts: Mapping[str, Pages] = {}) -> tuple[bytes, dict[str, bytes]]:
    """A value with references for all texts and lists that are long, and their shapes: the same
    whether they stand in pages or not."""
    if len(value) <= LONG_BYTES and not texts:
        return value, {}
    shapes: dict[str, bytes] = {}
    members = values.fields(value, MAX_WHOLE_BYTES)
    for name, member in members.items():
        found = texts.get(name)
        if found is not None:
            if found.size > LONG_BYTES:
                shapes[name] = found.shape
                continue
            members[name] = member = found.text  # noqa: PLW2901 - it is as in the value
        if len(member) > LONG_BYTES and member.startswith(_MEMBERS):
            reference, shapes[name] = shape_of(member)
            members[name] = reference.text
    return splices.assembled(members), shapes


def whole(value: bytes, texts: Mapping[str, bytes]) -> bytes:
    """A value with documents in the place of references to them."""
    if not texts:
        return value
    members = values.fields(value)
    for name, text in texts.items():
        if name in members and reference_in(members[name]) is not None:
            members[name] = text
    return splices.assembled(members)
