"""What a hub shows to Prometheus: every name is documented, the rules use names that exist, and
nothing that peers send makes it grow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cloud_hub.levels import WAITING_SECONDS, Levels
from cloud_hub.meter import OTHER
from cloud_hub.metrics import Metrics
from sync.messages import EdgeCounters

ROOT = Path(__file__).parents[3]
HISTOGRAM_ENDS = ("_bucket", "_count", "_sum")


def _metrics(levels: Levels | None = None) -> Metrics:
    return Metrics(lambda: levels or Levels(), {"version": "1", "database": "sqlite"})


def _told() -> Metrics:
    """Metrics that were told of everything once, so that each has a sample."""
    waiting = dict.fromkeys(WAITING_SECONDS, 0)
    metrics = _metrics(Levels(edges_waiting=waiting, alarms={"DISK_FULL": 1}))
    metrics.group_decided(3, 0.01)
    metrics.group_failed("DISK_FULL", 0.01)
    metrics.refused("TOO_BUSY")
    metrics.frame_rejected("FRAME_CORRUPT")
    metrics.stream_opened()
    metrics.stream_ended("GONE")
    metrics.changes_sent(20)
    metrics.asked_database("read", 0.001)
    metrics.database_failed("write", "DATABASE_BUSY")
    metrics.loop_late(0.0)
    metrics.heard_of("a", EdgeCounters(refusals=(("OUTBOX_FULL", 1),)))
    metrics.heard_of("a", EdgeCounters(uptime_ms=1, refusals=(("OUTBOX_FULL", 3),)))
    return metrics


def _samples(metrics: Metrics) -> dict[str, float]:
    """By name and labels, as they stand on the page."""
    _, page = metrics.page()
    found = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()) if k != "le")
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def _shown() -> dict[str, tuple[str, frozenset[str]]]:
    """Name, kind and labels of every metric."""
    found = {}
    for family in _told().registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = frozenset(label for s in family.samples for label in s.labels) - {"le"}
        found[name] = (family.type, labels)
    return found


@pytest.mark.promise("metrics.documented")
def test_the_table_of_the_documentation_is_what_is_shown() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    row = re.compile(r"^\| `(holdfast_\w+)` \| (\w+) \| ([^|]*)\|", re.MULTILINE)
    documented = {
        name: (kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in row.findall(text)
    }
    assert documented == _shown()


@pytest.mark.promise("metrics.documented")
def test_rules_use_only_metrics_that_exist() -> None:
    text = (ROOT / "deploy" / "prometheus" / "holdfast.rules.yml").read_text()
    shown = _shown()
    for name in set(re.findall(r"\bholdfast_\w+", text)):
        plain = re.sub(f"({'|'.join(HISTOGRAM_ENDS)})$", "", name)
        assert name in shown or shown.get(plain, ("",))[0] == "histogram", name
    for name, labels in re.findall(r"(holdfast_\w+)\{([^}]*)\}", text):
        assert set(re.findall(r"(\w+)=", labels)) <= shown[name][1], name
    groups = set(re.findall(r"- name: (\S+)", text))
    assert groups == {"holdfast-lagging-edge", "holdfast-wedge", "holdfast-herd"}
    assert text.count("- alert:") == text.count("expr:") == text.count("action:")


def test_what_is_told_is_counted() -> None:
    found = _samples(_told())
    assert found["holdfast_commits_decided_total"] == 3
    assert found["holdfast_group_commits_sum"] == 3
    assert found["holdfast_transaction_seconds_count"] == 2
    assert found["holdfast_groups_failed_total{reason=DISK_FULL}"] == 1
    assert found["holdfast_fanout_lag_seconds_sum"] == 0.02
    assert found["holdfast_database_errors_total{operation=write,reason=DATABASE_BUSY}"] == 1
    assert found["holdfast_edge_refusals_total{reason=OUTBOX_FULL}"] == 2
    assert found["holdfast_edges_alarms{alarm=DISK_FULL}"] == 1
    assert found["holdfast_build_info{database=sqlite,version=1}"] == 1


@pytest.mark.promise("metrics.bounded")
def test_whatever_peers_send_the_page_does_not_grow() -> None:
    alarms = {f"ALARM_{n}": 1 for n in range(500)}
    metrics = _metrics(Levels(alarms={**alarms, "DISK_FULL": 2}))
    before = len(_samples(metrics))
    for number in range(500):
        name = f"MADE_UP_{number}"
        metrics.refused(name)
        metrics.stream_ended(name)
        metrics.frame_rejected(name)
        metrics.heard_of(f"edge-{number}", EdgeCounters(refusals=((name, 1),)))
        later = EdgeCounters(uptime_ms=1, refusals=((name, 2),))
        metrics.heard_of(f"edge-{number}", later)
    found = _samples(metrics)
    assert len(found) <= before + 4
    assert found[f"holdfast_edges_alarms{{alarm={OTHER}}}"] == 500
    assert found[f"holdfast_edge_refusals_total{{reason={OTHER}}}"] == 500
    assert not [name for name in found if "edge-" in name or "MADE_UP" in name]
