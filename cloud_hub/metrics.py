"""What a hub process shows to Prometheus, by name.

Three situations must be plain to see: an edge that lags (what waits at edges, and for how long), a
wedge (what waits here, and for how long, while nothing is decided), and a herd (streams that open
and end, and what the database and the loop take). docs/operations.md has a table of all names;
deploy/prometheus has rules for the three.

Nothing is labelled by edge, space, record or actor: labels are reasons, alarms and operations, of
which there are as many as this project has names. Numbers of edges are sums and maxima.

Invariant: whatever peers send, the number of series stays bounded.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from cloud_hub.edge_totals import EdgeTotals
from cloud_hub.levels import Levels
from cloud_hub.meter import Meter, known
from sync import messages as m

disable_created_metrics()  # type: ignore[no-untyped-call]
# A second series for each, which tells nothing that build_info does not.

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_AGES = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 600, 3_600, 86_400)

GAUGES = {
    "streams_open": "Streams of edges that are open.",
    "queue_commits": "Commits that wait to be decided, in all spaces.",
    "queue_commits_max": "Commits that wait in the space with the longest queue.",
    "queue_oldest_seconds": "How long the oldest group or commit has waited to be decided.",
    "fanout_lag_revisions": "Revisions between a head and the stream that is furthest behind it.",
    "edges_pending_commits": "Commits that connected edges say are pending.",
    "edges_oldest_pending_seconds": "How long the oldest of them has waited, at the worst edge.",
    "edges_lag_seconds": "How long ago the worst connected edge had all of the hub's history.",
}
"""By the names of `Levels`; those with labels stand in `_Looked`."""

EDGE_TOTALS = {
    "commits": "Commits that edges have taken.",
    "applied": "Decided commits that edges have applied.",
    "dials": "Streams that edges have begun.",
    "outbox_transactions": "Transactions of edges' outboxes.",
}


class Metrics(Meter):
    """Counts what it is told, and looks at levels when the page is read. `look` gives levels,
    `facts` are told once and for all."""

    def __init__(self, look: Callable[[], Levels], facts: dict[str, str]) -> None:
        self.registry = CollectorRegistry()
        self._totals = EdgeTotals()
        self._commits = self._counter("commits_decided", "Commits that were decided here.")
        self._failed = self._counter("groups_failed", "Groups that could not be decided.", "reason")
        self._refusals = self._counter("refusals", "Requests and pushes refused.", "reason")
        self._frames = self._counter(
            "frames_rejected", "Blocks of edges that could not be unpacked or read.", "reason"
        )
        self._opened = self._counter("streams_opened", "Edges that were welcomed.")
        self._ended = self._counter("streams_ended", "Streams that are over.", "reason")
        self._errors = self._counter(
            "database_errors", "Transactions that failed.", "operation", "reason"
        )
        self._sizes = self._histogram("group_commits", "Commits of one transaction.", _SIZES)
        self._transactions = self._histogram(
            "transaction_seconds", "Deciding a group, from its start to its durable end.", _SECONDS
        )
        self._fanout = self._histogram(
            "fanout_lag_seconds", "How old batches are when they are sent to an edge.", _AGES
        )
        self._loop = self._histogram(
            "event_loop_lag_seconds", "How late the timers of the event loop are.", _SECONDS
        )
        self._database = self._histogram(
            "database_seconds", "Transactions of the database.", _SECONDS, "operation"
        )
        self.registry.register(_Looked(look, self._totals, facts))

    def page(self) -> tuple[str, bytes]:
        """What Prometheus reads: content type and content."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)

    # -- what it is told -----------------------------------------------------

    def group_decided(self, commits: int, seconds: float) -> None:
        """See Meter."""
        self._commits.inc(commits)
        self._sizes.observe(commits)
        self._transactions.observe(seconds)

    def group_failed(self, reason: str, seconds: float) -> None:
        """See Meter."""
        self._failed.labels(known(reason)).inc()
        self._transactions.observe(seconds)

    def refused(self, reason: str) -> None:
        """See Meter."""
        self._refusals.labels(known(reason)).inc()

    def frame_rejected(self, reason: str) -> None:
        """See Meter."""
        self._frames.labels(known(reason)).inc()

    def stream_opened(self) -> None:
        """See Meter."""
        self._opened.inc()

    def stream_ended(self, reason: str) -> None:
        """See Meter."""
        self._ended.labels(known(reason)).inc()

    def changes_sent(self, age_ms: int) -> None:
        """See Meter."""
        self._fanout.observe(max(0, age_ms) / 1_000)

    def asked_database(self, operation: str, seconds: float) -> None:
        """See Meter."""
        self._database.labels(operation).observe(seconds)

    def database_failed(self, operation: str, reason: str) -> None:
        """See Meter."""
        self._errors.labels(operation, known(reason)).inc()

    def loop_late(self, seconds: float) -> None:
        """See Meter."""
        self._loop.observe(seconds)

    def heard_of(self, edge: str, counters: m.EdgeCounters) -> None:
        """See Meter."""
        self._totals.add(edge, counters)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"holdfast_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        full = f"holdfast_{name}"
        return Histogram(full, text, labels, registry=self.registry, buckets=buckets)


class _Looked(Collector):
    """What is looked up when the page is read."""

    def __init__(
        self, look: Callable[[], Levels], totals: EdgeTotals, facts: dict[str, str]
    ) -> None:
        self._look, self._totals, self._facts = look, totals, facts

    def collect(self) -> Iterator[Metric]:
        facts = tuple(self._facts.values())
        yield _gauge("build_info", "What runs here.", [(facts, 1)], *self._facts)
        levels = self._look()
        for field in fields(levels):
            if field.name in GAUGES:
                value = getattr(levels, field.name)
                yield _gauge(field.name, GAUGES[field.name], [((), value)])
        here = [(("connected",), levels.edges_connected), (("away",), levels.edges_away)]
        yield _gauge("edges", "Edges that connected since this process began.", here, "state")
        longer = [((str(limit),), count) for limit, count in levels.edges_waiting.items()]
        text = "Connected edges whose oldest pending commit has waited so many seconds."
        yield _gauge("edges_waiting", text, longer, "seconds")
        alarms: Counts[str] = Counts()
        for name, count in levels.alarms.items():
            alarms[known(name)] += count
        raised = [((name,), count) for name, count in alarms.items()]
        yield _gauge("edges_alarms", "Connected edges that raise an alarm.", raised, "alarm")
        yield from self._of_edges()

    def _of_edges(self) -> Iterator[Metric]:
        for name, text in EDGE_TOTALS.items():
            yield CounterMetricFamily(f"holdfast_edge_{name}", text, self._totals.numbers[name])
        seconds = self._totals.numbers["outbox_us"] / 1_000_000
        text = "Time that the transactions of edges' outboxes took."
        yield CounterMetricFamily("holdfast_edge_outbox_seconds", text, seconds)
        refusals = CounterMetricFamily(
            "holdfast_edge_refusals", "Requests that edges have refused.", labels=["reason"]
        )
        for reason, count in self._totals.refusals.items():
            refusals.add_metric([reason], count)
        yield refusals


def _gauge(
    name: str, text: str, values: Iterable[tuple[Sequence[str], float]], *labels: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"holdfast_{name}", text, labels=labels)
    for names, value in values:
        family.add_metric(names, value)
    return family
