"""A hub and edges that edit one text, as plain objects: nothing but weaves, logs and cursors.

Edges write while others' edits are on the way, the hub takes what it likes when it likes, and now
and then refuses. After every step what each end believes of the other is compared with what is so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from sync.transform import Content, Run, Splice, apply, splice
from sync.weave import Bridge, Undecided


@dataclass(frozen=True)
class Decision:
    """A row of the hub's log. `effect` is None for what was refused."""

    revision: int
    edge: int
    name: int
    effect: Splice | None


@dataclass(frozen=True)
class Pending:
    """An edit on its way to the hub; `shown` is the text that its author had before his eyes."""

    name: int
    base: int
    edit: Splice
    shown: Content


@dataclass
class Edge:
    """An edge: the hub's text at its cursor, and what is pending on top."""

    number: int
    text: Content
    undecided: Undecided
    cursor: int = 0
    names: int = 0
    outbox: list[Pending] = field(default_factory=list)

    @property
    def shown(self) -> Content:
        return self.undecided.shown(self.text)

    def write(self, edit: Splice) -> None:
        before = self.shown
        self.names += 1
        self.undecided.own(edit, self.names)
        self.outbox.append(Pending(self.names, self.cursor, edit, before))
        assert self.shown == apply(edit, before)

    def take(self, decision: Decision) -> None:
        before = self.shown
        if decision.edge != self.number:
            if decision.effect is not None:
                self.undecided.foreign(decision.effect)
        elif decision.effect is None:
            self.undecided.refuse(decision.name)
        else:
            assert self.undecided.written(decision.name) == decision.effect
            self.undecided.settle(decision.name)
        if decision.effect is not None:
            self.text = apply(decision.effect, self.text)
        self.cursor = decision.revision
        if decision.edge == self.number and decision.effect is not None:
            assert self.shown == before, "what was pending is decided, and makes the same"


class Hub:
    """Decides edits in the order in which it takes them."""

    def __init__(self, text: Content) -> None:
        self.texts = [text]
        self.log: list[Decision] = []
        self._bridges: dict[int, tuple[int, Bridge]] = {}

    def decide(self, edge: int, pending: Pending, *, refuse: bool) -> None:
        revision = len(self.texts)
        bridge = self._bridge(edge, pending.base)
        assert bridge.length == len(pending.shown)
        effect = None
        if refuse:
            bridge.refuse(pending.edit, revision)
        else:
            effect = bridge.own(pending.edit)
        self.log.append(Decision(revision, edge, pending.name, effect))
        self.texts.append(apply(effect, self.texts[-1]) if effect else self.texts[-1])
        if not bridge.even:
            self._bridges[edge] = (revision, bridge)

    def _bridge(self, edge: int, base: int) -> Bridge:
        """As kept, or begun at the newest state that both know."""
        own = [d.revision for d in self.log if d.edge == edge and d.effect is not None]
        start = max([base, *own])
        since, bridge = self._bridges.pop(edge, (start, Bridge.over(len(self.texts[start]), start)))
        for decision in self.log[since:]:
            if decision.edge != edge and decision.effect is not None:
                bridge.foreign(decision.effect, decision.revision)
        bridge.advance(base)
        return bridge


def run(random: Random, steps: int) -> tuple[Hub, list[Edge]]:
    """A history, to its end: everything is decided, and everybody has seen it."""
    text = "abcd"[: random.randint(0, 4)]
    hub = Hub(text)
    edges = [Edge(n, text, Undecided.over(len(text))) for n in range(random.randint(2, 3))]
    letters = iter(map(chr, range(0x4E00, 0x9000)))
    for _ in range(steps):
        edge = random.choice(edges)
        match random.choice(("write", "write", "push", "pull", "pull")):
            case "write":
                edge.write(_edit(random, len(edge.shown), next(letters)))
            case "push" if edge.outbox:
                hub.decide(edge.number, edge.outbox.pop(0), refuse=random.random() < 0.15)
            case "pull" if edge.cursor < len(hub.log):
                edge.take(hub.log[edge.cursor])
    for edge in edges:
        while edge.outbox:
            hub.decide(edge.number, edge.outbox.pop(0), refuse=False)
    for edge in edges:
        for decision in hub.log[edge.cursor :]:
            edge.take(decision)
    return hub, edges


def _edit(random: Random, length: int, letter: str) -> Splice:
    runs: list[Run] = []
    while length:
        count = random.randint(1, length)
        length -= count
        if random.random() < 0.4:
            runs.append(letter * random.randint(1, 2))
        runs.append(count if random.random() < 0.6 else -count)
    return splice([*runs, letter if random.random() < 0.3 else 0])
