"""Histories of a few edges and a hub, drawn by Hypothesis and played on the pure core.

A history is a list of steps that anyone could take; its tape is what came to the hub, so that the
same can be decided anew, cut and grouped otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

from holdfast.host.door import Refusal
from sync.batch import Batch
from sync.commit import Precondition
from sync.policy import CollectionPolicy, DeleteRule, Granularity, Policies, Rule, Ruling
from sync.reduce import (
    Add,
    Delete,
    Patch,
    Put,
    Request,
    RuleMismatch,
    SetAdd,
    SetRemove,
)
from sync.values import InvalidValue
from tests.fleet import Edge, Hub

COLLECTIONS = {
    "robots": '{"fields":{"n":"counter"}}',
    "jobs": '{"deletes":"edit_wins","fields":{"n":"counter"}}',
    "plans": '{"granularity":"record"}',
    "works": '{"deletes":"edit_wins","fields":{"a":"ask","d":{"expr":"base == null ? CONFLICT :'
    ' (ours > theirs ? ours : ours + theirs)","rule":"expr"},"f":"first","h":"max","l":"min","o":'
    '{"kind":"human","rule":"owner"},"p":{"rule":"priority"},"q":"siblings","s":{"order":["new",'
    '"busy","done"],"rule":"rank"},"t":"set"},"invariants":{"few":"!has(value.t) || size(value.t)'
    ' < 6"}}',
}
KEYS = ("r1", "r2")

VALUES = st.sampled_from(
    [b"{}", b'{"n":0}', b'{"n":7,"x":1}', b'{"n":-2,"x":2,"y":1.0}', b'{"x":3}', b'{"y":1}']
)
SETS = st.sampled_from([b"{}", b'{"x":4}', b'{"x":5,"z":[1]}', b'{"n":9}', b'{"y":"a"}'])
REMOVES = st.sampled_from([(), ("x",), ("n", "y")])
PLACE = (st.sampled_from(["jobs", "plans", "robots"]), st.sampled_from(KEYS))
_WORKS = (st.just("works"), st.sampled_from(KEYS))
_MEMBERS = {
    "a": ("1", "2"), "d": ("1", "2", "3.5", "18446744073709551616"), "f": ("1", "2"),
    "h": ("9007199254740992", "9007199254740993", "1.0", "1"), "l": ("-1", "-1.0", "5"),
    "p": ('"run"', '"stop"'), "q": ("1", "1.0", '"a"'), "s": ('"new"', '"busy"', '"done"'),
    "t": ('["a"]', '["a","b",1]', '["b",1.0]'), "x": ("1", "2"),
}  # fmt: skip
OBJECTS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(texts) for name, texts in _MEMBERS.items()}
).map(lambda found: "{" + ",".join(f'"{n}":{t}' for n, t in sorted(found.items())) + "}")
ELEMENTS = st.sampled_from([b'{"t":["a"]}', b'{"t":["b","c"]}', b'{"t":[1,1.0]}'])
WORKS: st.SearchStrategy[Request] = st.one_of(
    st.builds(Put, *_WORKS, OBJECTS.map(str.encode)),
    st.builds(Patch, *_WORKS, OBJECTS.map(str.encode)),
    st.builds(Patch, *_WORKS, st.just(b"{}"), st.sampled_from([("h",), ("q", "t"), ("d", "p")])),
    st.builds(Patch, *_WORKS, st.just(b'{"o":1}')),
    st.builds(SetAdd, *_WORKS, ELEMENTS),
    st.builds(SetRemove, *_WORKS, ELEMENTS),
    st.builds(Delete, *_WORKS),
)
"""What writes the fields of all rules."""

REQUESTS: st.SearchStrategy[Request] = st.one_of(
    WORKS,
    WORKS,
    st.builds(Put, *PLACE, VALUES),
    st.builds(Patch, *PLACE, SETS, REMOVES),
    st.builds(Delete, *PLACE),
    st.builds(Add, *PLACE, st.sampled_from([b'{"n":1}', b'{"n":10}', b'{"n":-3}'])),
)
_COUNTED = (st.just("robots"), st.sampled_from(KEYS))
ADDITIVE: st.SearchStrategy[Request] = st.one_of(
    st.builds(Put, *_COUNTED, st.sampled_from([b'{"n":5}', b'{"n":0,"x":1}'])),
    st.builds(Patch, *_COUNTED, st.sampled_from([b'{"n":3}', b'{"x":2}'])),
    st.builds(Add, *_COUNTED, st.sampled_from([b'{"n":1}', b'{"n":-4}'])),
)
"""What only ever adds to the counter `n`."""


@dataclass(frozen=True, slots=True)
class Write:
    """An agent at an edge writes; `apart` if it has not seen the other agents' pending commits,
    `absent` if only where the first record is absent."""

    edge: int
    requests: tuple[Request, ...]
    apart: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """An edge pushes its oldest pending commits; the answer may be lost."""

    edge: int
    count: int


@dataclass(frozen=True, slots=True)
class Download:
    """An edge adopts what the hub has decided."""

    edge: int


@dataclass(frozen=True, slots=True)
class AtHub:
    """Somebody writes at the hub's own door."""

    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Later:
    """Time passes at the hub."""

    ms: int


Step = Write | Upload | Download | AtHub | Later
EDGES = 3


def steps(
    requests: st.SearchStrategy[Request] = REQUESTS, *, conditions: bool = True
) -> st.SearchStrategy[list[Step]]:
    """Histories of 6 to 30 steps; without `conditions` nothing can be rejected for one."""
    edges = st.integers(0, EDGES - 1)
    some = st.lists(requests, min_size=1, max_size=3).map(tuple)
    step = st.one_of(
        st.builds(
            Write, edges, some, st.booleans(), st.booleans() if conditions else st.just(False)
        ),
        st.builds(Write, edges, some),
        st.builds(Write, edges, some),
        st.builds(Upload, edges, st.integers(1, 4)),
        st.builds(Download, edges),
        st.builds(AtHub, some),
        st.builds(Later, st.sampled_from([1, 1_000, 86_400_000])),
    )
    return st.lists(step, min_size=6, max_size=30)


Event = Batch | tuple[Request, ...] | int | None
"""What came to the hub: a push, a request at its door, time; None where somebody then read."""


@dataclass
class World:
    """A hub, edges whose clocks are right, a year behind and three days ahead, and the tape."""

    hub: Hub = field(default_factory=Hub)
    edges: list[Edge] = field(default_factory=list)
    tape: list[Event] = field(default_factory=list)
    with_policies: bool = True

    def __post_init__(self) -> None:
        if self.with_policies:
            for name, text in COLLECTIONS.items():
                self.hub.set_policy(name, text)
        day = 86_400_000
        self.edges = [
            Edge(name, self.hub, off) for name, off in (("a", 0), ("b", -365 * day), ("c", 3 * day))
        ]
        for edge in self.edges:
            edge.download()

    def play(self, history: list[Step]) -> World:
        for step in history:
            self.take(step)
        return self

    def take(self, step: Step) -> None:
        match step:
            case Write(edge=number, requests=requests, apart=apart, absent=absent):
                edge = self.edges[number]
                first = requests[0]
                wanted = [Precondition(first.collection, first.key, exists=False)] if absent else []
                context = (edge.replica.cursor, 0) if apart else None
                refused(lambda: edge.write(*requests, context=context, preconditions=wanted))
            case Upload(edge=number, count=count):
                self.upload(self.edges[number], count)
            case Download(edge=number):
                self.tape.append(None)
                self.edges[number].download()
            case AtHub(requests=requests):
                if not refused(lambda: self.hub.request(*requests)):
                    self.tape.append(requests)
            case Later(ms=ms):
                self.hub.now_ms += ms
                self.tape.append(ms)

    def upload(self, edge: Edge, count: int | None = None) -> None:
        if edge.pending:
            batch = edge.batch(count)
            self.tape.append(batch)
            self.hub.push(batch)

    def settle(self) -> None:
        """Everyone sends everything and reads everything."""
        for edge in self.edges:
            self.upload(edge)
        self.tape.append(None)
        for edge in self.edges:
            edge.download()


def refused(act: Callable[[], object]) -> bool:
    """Whether a door refused; then nothing has happened."""
    try:
        act()
    except (Refusal, RuleMismatch, InvalidValue):
        return True
    return False


def policies() -> Policies:
    """The policies of every world, as values."""
    counter = {"n": Ruling(Rule.COUNTER)}
    return Policies(
        {
            "robots": CollectionPolicy(fields=counter),
            "jobs": CollectionPolicy(fields=counter, deletes=DeleteRule.EDIT_WINS),
            "plans": CollectionPolicy(granularity=Granularity.RECORD),
        }
    )


def story() -> list[Step]:
    """A history in which a little of everything happens."""
    first = Put("robots", "r1", b'{"n":1,"x":1}'), Put("jobs", "r2", b'{"y":1}')
    other = Put("robots", "r1", b'{"n":5,"x":2}'), Put("jobs", "r2", b'{"z":1}')
    return [
        Write(0, first),
        Write(1, other),
        Write(2, (Put("plans", "r1", b'{"x":3}'), Patch("robots", "r1", b'{"a":1,"b":2}'))),
        Upload(2, 1),
        Upload(1, 1),
        AtHub((Patch("robots", "r1", b'{"x":9}', ("a",)), Delete("jobs", "r2"))),
        Upload(0, 1),
        Download(1),
        Write(1, (Patch("jobs", "r2", b'{"c":1}'), Delete("plans", "r1"))),
        Write(0, (Patch("jobs", "r2", b'{"d":1}'), Put("plans", "r1", b'{"x":8}'))),
    ]
