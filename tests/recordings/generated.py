"""A document that two people typed together, made up from a seed.

Of the same form as a recorded one. What it has to become is known without any merging: in each
stretch a paragraph belongs to one author, nobody deletes the ends of lines, and so the paragraphs
are as their authors left them, in their order. Only places are shifted by what the other types
meanwhile; each author sees that late, and how late changes all the time. Now and then both type at
the very same place; then what the first author typed stands to the left.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

PARAGRAPHS = 6
LETTERS = "abcdefgh \u00e9e\u0301\U0001f469\u200d\U0001f52c\U0001f916"
"""Code points are counted, not bytes, and not what a person takes for one character."""

DELETES = 0.2
LATE = 0.3
"""How often an author, before he types, sees something of what the other typed."""

Edit = tuple[int, int, int, int, str]
"""A transaction, and what it did: paragraph, place in it, code points deleted, text inserted."""


@dataclass
class _Author:
    """What one sees: his own at once, the other's late."""

    number: int
    view: list[str] = field(default_factory=lambda: [""] * PARAGRAPHS)
    unseen: list[Edit] = field(default_factory=list)
    """What he typed and the other has not seen."""
    newest: int = 0
    """His last transaction."""
    seen: int = 0
    """The other's last one that he has seen."""


class _Table:
    """Where they sit."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(f"{seed}:typed")
        self.transactions: list[dict[str, Any]] = []
        self.authors = (_Author(0), _Author(1))
        first = [[place, 0, "\n"] for place in range(PARAGRAPHS)]
        self.transactions.append({"parents": [], "agent": 0, "patches": first})

    def type(self, author: _Author, place: int, at: int, deleted: int, inserted: str) -> None:
        start = sum(len(one) + 1 for one in author.view[:place])
        parents = sorted({author.newest, author.seen})
        author.newest = len(self.transactions)
        edit = (author.newest, place, at, deleted, inserted)
        author.unseen.append(edit)
        _do(author.view, edit)
        patch = [start + at, deleted, inserted]
        self.transactions.append({"parents": parents, "agent": author.number, "patches": [patch]})

    def keystroke(self, author: _Author, place: int) -> None:
        """Somewhere in a paragraph."""
        length = len(author.view[place])
        if length and self.luck.random() < DELETES:
            self.type(author, place, self.luck.randrange(length), 1, "")
        else:
            at = self.luck.randint(max(0, length - 5), length)
            self.type(author, place, at, 0, self.luck.choice(LETTERS))

    def see(self, author: _Author, count: int) -> None:
        """An author sees so many more of what the other typed."""
        other = self.authors[1 - author.number]
        for edit in other.unseen[:count]:
            _do(author.view, edit)
            author.seen = edit[0]
        del other.unseen[:count]

    def meet(self) -> None:
        """Both see everything."""
        for author in self.authors:
            self.see(author, len(self.authors[1 - author.number].unseen))
        assert self.authors[0].view == self.authors[1].view

    # -- what they do --------------------------------------------------------

    def alone(self) -> None:
        """One writes, the other reads along."""
        author, place = self.luck.choice(self.authors), self.luck.randrange(PARAGRAPHS)
        for _ in range(self.luck.randint(5, 40)):
            self.keystroke(author, place)

    def together(self) -> None:
        """Each in a paragraph of his own, and each sees the other's grow."""
        places = self.luck.sample(range(PARAGRAPHS), 2)
        blind = self.luck.random() < 0.5
        for _ in range(self.luck.randint(10, 60)):
            author = self.luck.choice(self.authors)
            unseen = self.authors[1 - author.number].unseen
            if unseen and not blind and self.luck.random() < LATE:
                self.see(author, self.luck.randint(1, len(unseen)))
            self.keystroke(author, places[author.number])

    def at_one_place(self) -> None:
        """Both at the beginning of a paragraph, a few letters each."""
        place = self.luck.randrange(PARAGRAPHS)
        before, typed = self.authors[0].view[place], ["", ""]
        for author in self.authors:
            for at in range(self.luck.randint(1, 5)):
                typed[author.number] += self.luck.choice(LETTERS)
                self.type(author, place, at, 0, typed[author.number][-1])
        for author, other in (self.authors, self.authors[::-1]):
            author.view[place] = typed[0] + typed[1] + before
            author.seen = other.newest
            author.unseen = []


def _do(view: list[str], edit: Edit) -> None:
    _, place, at, deleted, inserted = edit
    view[place] = view[place][:at] + inserted + view[place][at + deleted :]


def generated(seed: int, keystrokes: int) -> dict[str, Any]:
    """A recording of about so many keystrokes."""
    table = _Table(seed)
    while len(table.transactions) < keystrokes:
        table.luck.choice((table.alone, table.together, table.together, table.at_one_place))()
        table.meet()
    end = "".join(one + "\n" for one in table.authors[0].view)
    return {"kind": "concurrent", "endContent": end, "txns": table.transactions}
