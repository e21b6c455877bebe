"""Which hub process an edge dials, and when."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from edge_agent.dialling import Dialling
from sync.backoff import FIRST_MS, LIMIT_MS


def _luck(*values: float) -> Callable[[], float]:
    return itertools.cycle(values).__next__


@pytest.mark.parametrize("reason", ["SHUTTING_DOWN", "HUB_UNREACHABLE", "SILENT", "STREAM_AGED"])
def test_a_hub_that_leaves_is_followed_by_the_next(reason: str) -> None:
    dialling = Dialling(3, _luck(0.5))
    assert dialling.index == 1
    dialling.ended(reason, 0, well=True, own_fault=False)
    assert dialling.index == 2


@pytest.mark.parametrize("reason", ["SUPERSEDED", "PAUSED", "EPOCH_CHANGED"])
def test_what_says_nothing_against_a_hub_keeps_the_edge_there(reason: str) -> None:
    dialling = Dialling(3, _luck(0))
    dialling.ended(reason, 0, well=True, own_fault=False)
    dialling.ended("DISK_FULL", 0, well=False, own_fault=True)
    assert dialling.index == 0


def test_every_hub_is_tried_once_before_the_delays_grow() -> None:
    dialling = Dialling(3, _luck(0.999))
    delays, tried = [], []
    for _ in range(6):
        tried.append(dialling.index)
        delays.append(dialling.ended("HUB_UNREACHABLE", 0, well=False, own_fault=False))
    assert sorted(tried[:3]) == sorted(tried[3:]) == [0, 1, 2]
    assert len(set(delays[:3])) == 1
    assert min(delays[3:]) > max(delays[:3])


def test_delays_end_and_begin_anew() -> None:
    dialling = Dialling(1, _luck(0.999))
    waits = [dialling.ended("HUB_UNREACHABLE", 0, well=False, own_fault=False) for _ in range(40)]
    assert LIMIT_MS < waits[-1] <= LIMIT_MS + FIRST_MS
    assert dialling.ended("STREAM_AGED", 0, well=True, own_fault=False) <= 2 * FIRST_MS


def test_one_hub_is_given_the_time_that_it_asks_for_and_no_two_edges_come_back_at_once() -> None:
    waits = {
        Dialling(1, _luck(luck)).ended("SHUTTING_DOWN", 500, well=True, own_fault=False)
        for luck in (0, 0.3, 0.6, 0.9)
    }
    assert len(waits) == 4
    assert min(waits) >= 500


def test_of_several_hubs_the_next_is_dialled_within_that_time() -> None:
    waits = {
        Dialling(2, _luck(luck)).ended("SHUTTING_DOWN", 2_000, well=True, own_fault=False)
        for luck in (0, 0.3, 0.6, 0.9)
    }
    assert len(waits) == 4
    assert max(waits) < 2_000
