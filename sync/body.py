"""A record's value while it is written to many times: merged into and spliced at the cost of what
changes.

The texts and lists that splices have found long are held in pages, the other members as an object.
The whole is put together when it is asked for, so nobody need know which is which; and a digest is
of an outline, in which a long text stands by its shape, so that it costs no more than an edit.

Invariant: `value` is what `apply` would have made, one operation after the other, and `outline`
depends on `value` alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from sync import splices, values
from sync.canonical_json import MAX_RECORD_BYTES, check_bytes
from sync.pages import LONG_BYTES, Pages, shape_of
from sync.transform import Content, Splice, SpliceMismatch, apply
from sync.values import Document, InvalidValue

EDIT_BYTES = 2 << 10
"""What an edit counts that a store has beside the whole: doing it anew takes as long as writing so
many bytes."""

_MEMBERS = (b'"', b"[")


class Body:
    """A value, and the documents in it that are edited."""

    __slots__ = ("_rest", "_texts", "_texts_bound", "_value", "apart", "unkept")

    def __init__(self, value: bytes) -> None:
        self.apart = False
        """Whether its store has documents of it beside the record's row."""
        self.unkept: int | None = None
        """What splices of long texts have done since a store had all of it, in bytes, EDIT_BYTES
        for each at least; None if anything else was written since, or no store ever had it."""
        self._rest = Document(value)
        self._texts: dict[str, Pages] = {}
        self._texts_bound = 0
        self._value: bytes | None = None

    def copy(self) -> Body:
        """One that goes another way."""
        made = Body(self._rest.text)
        made._texts = self._copies()
        made._texts_bound, made._value = self._texts_bound, self._value
        made.apart, made.unkept = self.apart, self.unkept
        return made

    def _copies(self) -> dict[str, Pages]:
        return {name: pages.copy() for name, pages in self._texts.items()}

    @property
    def value(self) -> bytes:
        """The canonical object."""
        if not self._texts:
            return self._rest.text
        if self._value is None:
            members = values.fields(self._rest.text)
            members |= {name: pages.text for name, pages in self._texts.items()}
            self._value = splices.assembled(members)
        return self._value

    @property
    def paged(self) -> bool:
        """Whether documents in it are edited at the cost of what changes."""
        return bool(self._texts)

    @property
    def is_due(self) -> bool:
        """Whether a store has to write all of it: else what was spliced is enough."""
        return self.unkept is None or self.unkept > max(self.bound // 4, LONG_BYTES)

    @property
    def bound(self) -> int:
        """Bytes of the value, at most."""
        return self._rest.bound + self._texts_bound

    @property
    def size(self) -> int:
        """Bytes of the value."""
        rest, texts = self._rest.text, self._texts
        if not texts:
            return len(rest)
        self._texts_bound = sum(_member_bytes(name, pages) for name, pages in texts.items())
        return len(rest) + self._texts_bound - (rest == b"{}")

    @property
    def outline(self) -> bytes:
        """What a digest is of: the value, with long texts and lists by their shapes."""
        if not self._texts:
            return outline(self._rest.text)
        return _outline(values.fields(self._rest.text), self._texts)

    # -- writes ----------------------------------------------------------------

    def replace(self, value: bytes) -> None:
        """Becomes another object."""
        self._rest.replace(value)
        self._texts.clear()
        self._texts_bound, self._value, self.unkept = 0, None, None

    def merge(self, sets: bytes, *, plain: bool = False) -> list[str]:
        """Sets members; returns their names. Raises InvalidValue; then nothing has changed."""
        self.unkept = None
        if not self._texts:
            return self._rest.merge(sets, plain=plain)
        names = list(values.fields(sets))
        beside = self._texts.keys().isdisjoint(names)
        if beside and self.bound + len(sets) <= MAX_RECORD_BYTES:
            self._rest.merge(sets, plain=plain)
            self._value = None
        else:
            self.replace(values.merge(self.value, sets))
        return names

    def splice(self, edits: Mapping[str, Splice]) -> None:
        """Edits texts and lists, each at the cost of what is edited if it is long. Raises
        InvalidValue; then only edits before the one at fault are there."""
        for name, edit in edits.items():
            try:
                self._splice(name, edit)
            except SpliceMismatch as error:
                raise InvalidValue("SPLICE_MISMATCH", f"field {name[:60]!r}: {error}") from error

    def _splice(self, name: str, edit: Splice) -> None:
        grows = sum(_bytes_of(run) for run in edit.runs if not isinstance(run, int))
        tight = self.bound + grows + 6 * len(name) + 8 > MAX_RECORD_BYTES
        before = (self._rest.text, self._copies()) if tight else None
        found = self._texts.get(name)
        if found is None:
            self._splice_rest(name, edit, grows)
        else:
            found.splice(edit)
            self._texts_bound += grows
            self._value = None
            if self.unkept is not None:
                self.unkept += max(grows, EDIT_BYTES)
        if before is not None:
            try:
                if self.bound > MAX_RECORD_BYTES:
                    check_bytes(self.size)
            except InvalidValue:
                self._rest.replace(before[0])
                self._texts, self._value = before[1], None
                raise

    def _splice_rest(self, name: str, edit: Splice, grows: int) -> None:
        """Edits a document that is not in pages. If it is long, it is from now on."""
        rest, unkept = self._rest, self.unkept
        self.unkept = None
        said = rest.said(name)
        had = said if said is not None else values.fields(rest.text).get(name)
        content = had if isinstance(had, str) else splices.content_of(had, edit)
        after = apply(edit, content)
        if rest.bound + grows > LONG_BYTES:
            pages = Pages.of(after)
            if pages.size > LONG_BYTES:
                rest.drop(name)
                self._texts[name] = pages
                self._texts_bound += _member_bytes(name, pages)
                self._value = None
                if unkept is not None:
                    self.unkept = unkept + max(grows, EDIT_BYTES)
                return
        if said is None or not isinstance(after, str) or not rest.say(name, after, grows):
            rest.replace(values.merge(rest.text, values.join({name: splices.text_of(after)})))
        self._value = None

    def length_of(self, name: str) -> int:
        """Of the text or list in a field. Raises InvalidValue for what is neither."""
        found = self._texts.get(name)
        if found is not None:
            return found.units
        said = self._rest.said(name)
        if said is not None:
            return len(said)
        text = values.fields(self._rest.text).get(name)
        return 0 if text is None else len(splices.content_of(text, _NOTHING))


_NOTHING = Splice((), 0, 0)


def outline(value: bytes) -> bytes:
    """That of a value which nobody edits."""
    return value if len(value) <= LONG_BYTES else _outline(values.fields(value), {})


def _outline(members: dict[str, bytes], texts: Mapping[str, Pages]) -> bytes:
    shapes: dict[str, bytes] = {}
    for name, pages in texts.items():
        if pages.size > LONG_BYTES:
            shapes[name] = pages.shape
        else:
            members[name] = pages.text
    for name, member in list(members.items()):
        if len(member) > LONG_BYTES and member.startswith(_MEMBERS):
            del members[name]
            shapes[name] = shape_of(member)
    parts = [splices.assembled(members)]
    for name in sorted(shapes):
        parts += [b"\n", orjson.dumps(name), shapes[name]]
    return b"".join(parts)


def _member_bytes(name: str, pages: Pages) -> int:
    return len(orjson.dumps(name)) + pages.size + 2


def _bytes_of(run: Content) -> int:
    """Of what is inserted, as it stands in a value, at most."""
    if isinstance(run, str):
        return len(orjson.dumps(run))
    return sum(map(len, run)) + len(run)
