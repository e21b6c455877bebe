"""How much there is of what goes up and down: queues, streams, edges that lag.

It is looked up when somebody asks, so that nothing has to be kept for it. Edges are counted and
compared, never named: which one it is, `cloud-hub edges --lagging` says.

Invariant: the size of the answer does not grow with the number of edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cloud_hub.ingest import Ingest
from cloud_hub.streams import EdgeState, Streams

WAITING_SECONDS = (10, 60, 600, 3_600, 86_400)
"""For so long or longer: a hiccup, a broken link, an outage, a lost site, a forgotten device."""


@dataclass(frozen=True, slots=True)
class Levels:
    """One look. Ages are in seconds; of several, the greatest."""

    streams_open: int = 0
    edges_connected: int = 0
    edges_away: int = 0
    queue_commits: int = 0
    queue_commits_max: int = 0
    queue_oldest_seconds: float = 0.0
    fanout_lag_revisions: int = 0
    edges_pending_commits: int = 0
    edges_oldest_pending_seconds: float = 0.0
    edges_lag_seconds: float = 0.0
    edges_waiting: Mapping[int, int] = field(default_factory=dict)
    """Connected edges whose oldest pending commit has waited so many seconds or longer."""
    alarms: Mapping[str, int] = field(default_factory=dict)
    """Connected edges at which an alarm is raised."""


def look(ingest: Ingest, streams: Streams) -> Levels:
    """How it is now."""
    known = list(streams.edges().values())
    here = [state for state in known if state.connected]
    counted = [state.counters for state in here if state.counters is not None]
    oldest = [counters.oldest_pending_ms / 1_000 for counters in counted]
    return Levels(
        streams_open=streams.count,
        edges_connected=len(here),
        edges_away=len(known) - len(here),
        queue_commits=ingest.waiting_commits,
        queue_commits_max=ingest.longest_queue,
        queue_oldest_seconds=ingest.oldest_seconds,
        fanout_lag_revisions=streams.furthest_behind,
        edges_pending_commits=sum(state.pending for state in here),
        edges_oldest_pending_seconds=max(oldest, default=0.0),
        edges_lag_seconds=max(((c.lag_ms or 0) / 1_000 for c in counted), default=0.0),
        edges_waiting={limit: sum(age >= limit for age in oldest) for limit in WAITING_SECONDS},
        alarms=_alarms(here),
    )


def _alarms(states: Iterable[EdgeState]) -> dict[str, int]:
    return dict(Counter(name for state in states for name in set(state.alarms)))
